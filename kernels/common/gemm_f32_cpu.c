/* A panel of generic 128-bit vectors; how many registers there are is the architecture's business. */
#define GEMM_ROWS 5
#define GEMM_PANELS 1
#define GEMM_ROW_PANELS 1
#define GEMM_UNROLL_1 2
#define GEMM_UNROLL_2 1
#define GEMM_UNROLL_3 1
#include "gemm_f32_impl.h"
