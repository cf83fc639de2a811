/* The parameters of normalize: over what mean and variance are taken. */
#ifndef INGOT_NORMALIZE_H
#define INGOT_NORMALIZE_H

#include <stdint.h>

#include "scales_s8.h"

/* cffi:begin */
typedef enum ingot_normalize_kind {
    INGOT_NORMALIZE_LAYER = 0, /* (x - mean) / sqrt(variance + epsilon) over the axes from `axis` on */
    INGOT_NORMALIZE_RMS = 1,   /* x / sqrt(mean of squares + epsilon) over the axes from `axis` on */
    INGOT_NORMALIZE_GROUP = 2, /* like LAYER, over the spatial axes and C / groups channels of [N, *spatial, C] */
    INGOT_NORMALIZE_KIND_COUNT = 3
} ingot_normalize_kind;

typedef struct ingot_normalize_params {
    uint32_t kind; /* ingot_normalize_kind */
    uint32_t axis;
    uint32_t groups;
    uint32_t reserved; /* 0 */
    double epsilon;
} ingot_normalize_params;

typedef struct ingot_normalize_s8_params {
    ingot_normalize_params normalize;
    ingot_s8_scales scales;
} ingot_normalize_s8_params;
/* cffi:end */

#endif
