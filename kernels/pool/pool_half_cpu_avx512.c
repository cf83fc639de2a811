#include "pool/pool_half.h"

POOL_HALF_KERNEL(avx512)
