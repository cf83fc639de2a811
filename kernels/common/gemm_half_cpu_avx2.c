#define HALF_ROW_PANELS 2
#define HALF_FEW_PANELS 1
#include "gemm_half_impl.h"
