/* The parameters of resize, in ONNX's words. */
#ifndef INGOT_RESIZE_H
#define INGOT_RESIZE_H

#include <stdint.h>

#include "scales_s8.h"

/* cffi:begin */
typedef enum ingot_resize_mode {
    INGOT_RESIZE_NEAREST = 0,
    INGOT_RESIZE_LINEAR = 1,
    INGOT_RESIZE_CUBIC = 2,
    INGOT_RESIZE_MODE_COUNT = 3
} ingot_resize_mode;

typedef enum ingot_resize_coordinate { /* from an index of the output to a place in the input */
                                       INGOT_RESIZE_HALF_PIXEL = 0,
                                       INGOT_RESIZE_HALF_PIXEL_SYMMETRIC = 1,
                                       INGOT_RESIZE_PYTORCH_HALF_PIXEL = 2,
                                       INGOT_RESIZE_ALIGN_CORNERS = 3,
                                       INGOT_RESIZE_ASYMMETRIC = 4,
                                       INGOT_RESIZE_TF_HALF_PIXEL_FOR_NN = 5,
                                       INGOT_RESIZE_TF_CROP_AND_RESIZE = 6,
                                       INGOT_RESIZE_COORDINATE_COUNT = 7
} ingot_resize_coordinate;

typedef enum ingot_resize_rounding { /* of a place between two elements, for INGOT_RESIZE_NEAREST */
                                     INGOT_RESIZE_ROUND_PREFER_FLOOR = 0,
                                     INGOT_RESIZE_ROUND_PREFER_CEIL = 1,
                                     INGOT_RESIZE_FLOOR = 2,
                                     INGOT_RESIZE_CEIL = 3,
                                     INGOT_RESIZE_ROUNDING_COUNT = 4
} ingot_resize_rounding;

typedef struct ingot_resize_params {
    double scale[8];     /* output extent by input extent, not rounded as the extents are */
    double roi_begin[8]; /* for INGOT_RESIZE_TF_CROP_AND_RESIZE: 0 is the first element, 1 the last */
    double roi_end[8];
    double cubic_a;
    double extrapolation;     /* the value of what lies outside with INGOT_RESIZE_TF_CROP_AND_RESIZE */
    uint32_t axes;            /* bit a: axis a is resized; the others keep their extent */
    uint32_t mode;            /* ingot_resize_mode */
    uint32_t coordinate;      /* ingot_resize_coordinate */
    uint32_t rounding;        /* ingot_resize_rounding */
    uint32_t antialias;       /* 1: the filter grows as the output shrinks */
    uint32_t exclude_outside; /* 1: elements that the filter misses do not count, instead of repeating the edge */
} ingot_resize_params;

typedef struct ingot_resize_s8_params {
    ingot_resize_params resize; /* linear, without antialias, exclude_outside and a region; at most two axes */
    ingot_s8_scales scales;
    uint32_t model;    /* ingot_s8_model: NONE; LINEAR, of two neighbouring axes, to int8 */
    uint32_t reserved; /* 0 */
} ingot_resize_s8_params;
/* cffi:end */

#endif
