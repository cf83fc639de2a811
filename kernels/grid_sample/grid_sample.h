/* The parameters of grid_sample, in ONNX's words. */
#ifndef INGOT_GRID_SAMPLE_H
#define INGOT_GRID_SAMPLE_H

#include <stdint.h>

/* cffi:begin */
typedef enum ingot_grid_mode {
    INGOT_GRID_NEAREST = 0, /* a place in the middle goes to the even index */
    INGOT_GRID_LINEAR = 1,
    INGOT_GRID_CUBIC = 2, /* Keys' kernel with a = -0.75 */
    INGOT_GRID_MODE_COUNT = 3
} ingot_grid_mode;

typedef enum ingot_grid_padding { /* what lies outside the image */
                                  INGOT_GRID_ZEROS = 0,
                                  INGOT_GRID_BORDER = 1,
                                  INGOT_GRID_REFLECTION = 2,
                                  INGOT_GRID_PADDING_COUNT = 3
} ingot_grid_padding;

typedef struct ingot_grid_sample_params {
    uint32_t mode;          /* ingot_grid_mode */
    uint32_t padding;       /* ingot_grid_padding */
    uint32_t align_corners; /* 1: -1 and 1 are the centres of the first and last element; 0: their outer edges */
    uint32_t reserved;
} ingot_grid_sample_params;
/* cffi:end */

#endif
