/* Matrix product: parameters shared by C and the builder. */
#ifndef INGOT_MATMUL_H
#define INGOT_MATMUL_H

#include <stdint.h>

#include "activation.h"
#include "gemm_cut.h"
#include "numbers_s8.h"

/* cffi:begin */
typedef struct ingot_matmul_params {
    uint32_t trans_a;  /* 0 or 1: the last two axes of a are exchanged */
    uint32_t trans_b;  /* the same of b; 0 when b is packed */
    float alpha;       /* the product is scaled by it; 1 when b is packed */
    uint32_t reserved; /* 0 */
    ingot_activation activation;
} ingot_matmul_params;

/* A product with packed b and how it is cut. */
typedef struct ingot_matmul_cut_params {
    ingot_matmul_params matmul;
    ingot_gemm_cut cut;
} ingot_matmul_cut_params;

/* Operands: a, b, bias (real numbers, or, where b is a constant, int32 that is added to the sums), residual, sums of
 * each column of b (int32), scale of a times that of each column of b. Where b is no constant there are no sums and one
 * scale. The result is int8 or float32. */
typedef struct ingot_matmul_s8_params {
    ingot_matmul_params matmul; /* alpha 1: it is part of the scale; activation: none, relu or clip */
    ingot_s8_numbers numbers;
    ingot_s8_tuning tuning; /* way: an ingot_matmul_s8_way; slice and way are for a constant b */
    int32_t b_zero;         /* 0 where b is a constant */
    uint32_t reserved;      /* 0 */
} ingot_matmul_s8_params;

/* The order of work units. */
typedef enum ingot_matmul_s8_way {
    INGOT_MATMUL_S8_AUTO,
    INGOT_MATMUL_S8_BY_ROWS, /* all columns of a tile of rows, then the next */
    INGOT_MATMUL_S8_WAYS,
} ingot_matmul_s8_way;
/* cffi:end */

_Static_assert(sizeof(ingot_matmul_params) == 32, "ingot_matmul_params");
_Static_assert(sizeof(ingot_matmul_cut_params) == 48, "ingot_matmul_cut_params");
_Static_assert(sizeof(ingot_matmul_s8_params) == 80, "ingot_matmul_s8_params");

#endif
