/* The parameters of cumsum. */
#ifndef INGOT_CUMSUM_H
#define INGOT_CUMSUM_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_cumsum_params {
    uint32_t axis;
    uint32_t exclusive; /* 1: an element does not count itself */
    uint32_t reverse;   /* 1: from the end */
    uint32_t product;   /* 1: products instead of sums */
} ingot_cumsum_params;
/* cffi:end */

#endif
