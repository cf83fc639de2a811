/* 6 x 16: twelve accumulators, two registers of weights and one of the left operand, of sixteen. */
#define GEMM_ROWS 6
#define GEMM_PANELS 1
#define GEMM_ROW_PANELS 1
#include "gemm_f32_impl.h"
