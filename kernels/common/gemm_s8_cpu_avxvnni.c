#include "gemm_s8_impl.h"
