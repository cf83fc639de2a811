/* Two rows of a panel are eight 128-bit accumulators, half of what the smallest baselines have. */
#define GEMM_ROWS 6
#define GEMM_PANELS 1
#define GEMM_ROW_PANELS 1
#include "gemm_f32_impl.h"
