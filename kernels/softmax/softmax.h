/* The parameters of softmax: along which axis, and which of its kind. */
#ifndef INGOT_SOFTMAX_H
#define INGOT_SOFTMAX_H

#include <stdint.h>

#include "scales_s8.h"

/* cffi:begin */
typedef enum ingot_softmax_kind {
    INGOT_SOFTMAX = 0,     /* e^(x - max) / sum */
    INGOT_LOG_SOFTMAX = 1, /* x - max - log(sum) */
    INGOT_HARDMAX = 2,     /* 1 at the first largest element, 0 elsewhere */
    INGOT_SOFTMAX_KIND_COUNT = 3
} ingot_softmax_kind;

typedef struct ingot_softmax_params {
    uint32_t kind; /* ingot_softmax_kind */
    uint32_t axis;
} ingot_softmax_params;

/* Operands: x, table (uint32 [256]: the exponential of -d steps of x, 2^23 being 1). */
typedef struct ingot_softmax_s8_params {
    ingot_softmax_params softmax; /* INGOT_SOFTMAX */
    ingot_s8_scales scales;
} ingot_softmax_s8_params;
/* cffi:end */

#endif
