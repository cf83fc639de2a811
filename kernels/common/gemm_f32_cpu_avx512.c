/* 12 x 32: twenty-four accumulators, two registers of weights and one of the left operand, of thirty-two. */
#define GEMM_ROWS 12
#define GEMM_PANELS 2
#define GEMM_ROW_PANELS 4
#include "gemm_f32_impl.h"
