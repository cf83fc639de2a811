/* The parameters of pool: windows over the spatial axes of [N, *spatial, C]. */
#ifndef INGOT_POOL_H
#define INGOT_POOL_H

#include <stdint.h>

#include "scales_s8.h"

/* cffi:begin */
typedef enum ingot_pool_kind {
    INGOT_POOL_MAX = 0,
    INGOT_POOL_AVERAGE = 1,        /* over the elements inside the input */
    INGOT_POOL_AVERAGE_PADDED = 2, /* padding counts as zeros */
    INGOT_POOL_LP = 3,             /* (sum |x|^p)^(1/p) */
    INGOT_POOL_KIND_COUNT = 4
} ingot_pool_kind;

enum { INGOT_POOL_MAX_SPATIAL = 3 };

/* A window of output index o begins at o * stride - pad_begin and takes `kernel` elements, `dilation` apart; what lies
 * outside the input is left out. Entries behind the last spatial axis are not read. */
typedef struct ingot_pool_params {
    uint32_t kind; /* ingot_pool_kind */
    uint32_t p;    /* LP: the exponent, at least 1 */
    int32_t kernel[3];
    int32_t stride[3];
    int32_t dilation[3];
    int32_t pad_begin[3];
    int32_t pad_end[3];     /* AVERAGE_PADDED counts up to here */
    uint32_t storage_order; /* of the second output, the indices: 0: row-major; 1: the first spatial axis fastest */
} ingot_pool_params;

typedef struct ingot_pool_s8_params {
    ingot_pool_params pool;
    ingot_s8_scales scales; /* of a maximum all are the same: it moves int8 */
    uint32_t model;         /* ingot_s8_model, of an average to int8 */
    uint32_t reserved;      /* 0 */
} ingot_pool_s8_params;
/* cffi:end */

#endif
