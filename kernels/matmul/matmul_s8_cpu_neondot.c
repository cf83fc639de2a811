#include "matmul_s8.h"

INGOT_MATMUL_S8_KERNELS
