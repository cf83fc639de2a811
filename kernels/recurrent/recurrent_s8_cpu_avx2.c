#include "recurrent/recurrent_s8_impl.h"
#include "recurrent/recurrent_s8_product.h"

INGOT_RECURRENT_S8_KERNEL(avx2)
