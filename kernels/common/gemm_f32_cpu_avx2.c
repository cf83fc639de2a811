/* 5 x 16: ten accumulators, two registers of weights and one of the left operand, of sixteen. */
#define GEMM_ROWS 5
#define GEMM_PANELS 1
#define GEMM_ROW_PANELS 1
#define GEMM_UNROLL_1 4
#define GEMM_UNROLL_2 2
#define GEMM_UNROLL_3 2
#include "gemm_f32_impl.h"
