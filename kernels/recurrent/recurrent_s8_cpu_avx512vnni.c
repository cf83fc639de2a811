#include "recurrent/recurrent_s8.h"

INGOT_RECURRENT_S8_KERNEL(avx2)
