#define HALF_ROW_PANELS 4
#define HALF_FEW_PANELS 2
#include "gemm_half_impl.h"
