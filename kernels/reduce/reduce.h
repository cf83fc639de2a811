/* The parameters of reduce: which axes become one value, and how. */
#ifndef INGOT_REDUCE_H
#define INGOT_REDUCE_H

#include <stdint.h>

#include "scales_s8.h"

/* cffi:begin */
typedef enum ingot_reduce_kind {
    INGOT_REDUCE_SUM = 0,
    INGOT_REDUCE_MEAN = 1,
    INGOT_REDUCE_MAX = 2,
    INGOT_REDUCE_MIN = 3,
    INGOT_REDUCE_PROD = 4,
    INGOT_REDUCE_L1 = 5,
    INGOT_REDUCE_L2 = 6,
    INGOT_REDUCE_SUM_SQUARE = 7,
    INGOT_REDUCE_LOG_SUM = 8,
    INGOT_REDUCE_LOG_SUM_EXP = 9,
    INGOT_REDUCE_KIND_COUNT = 10
} ingot_reduce_kind;

typedef struct ingot_reduce_params {
    uint32_t kind; /* ingot_reduce_kind */
    uint32_t axes; /* bit a: axis a of the input is reduced and has extent 1 in the output */
} ingot_reduce_params;

typedef struct ingot_reduce_s8_params {
    ingot_reduce_params reduce; /* a sum or a mean */
    ingot_s8_scales scales;
} ingot_reduce_s8_params;
/* cffi:end */

#endif
