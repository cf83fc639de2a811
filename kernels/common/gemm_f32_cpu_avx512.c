/* 10 x 32: twenty accumulators, two registers of weights and one of the left operand, of thirty-two. Twelve rows
 * would fit the vector registers but not the general ones: each row has a pointer. */
#define GEMM_ROWS 10
#define GEMM_PANELS 2
#define GEMM_ROW_PANELS 4
#define GEMM_UNROLL_1 8
#define GEMM_UNROLL_2 4
#define GEMM_UNROLL_3 2
#define GEMM_MASKS 1
#include "gemm_f32_impl.h"
