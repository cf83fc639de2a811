/* Matrix product: parameters shared by C and the builder. */
#ifndef INGOT_MATMUL_H
#define INGOT_MATMUL_H

#include <stdint.h>

#include "activation.h"

/* cffi:begin */
typedef struct ingot_matmul_params {
    uint32_t trans_a;  /* 0 or 1: the last two axes of a are exchanged */
    uint32_t trans_b;  /* the same of b; 0 when b is packed */
    float alpha;       /* the product is scaled by it; 1 when b is packed */
    uint32_t reserved; /* 0 */
    ingot_activation activation;
} ingot_matmul_params;
/* cffi:end */

_Static_assert(sizeof(ingot_matmul_params) == 32, "ingot_matmul_params");

#endif
