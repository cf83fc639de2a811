#include "recurrent/recurrent_s8_impl.h"

INGOT_RECURRENT_S8_KERNEL(avx2)
