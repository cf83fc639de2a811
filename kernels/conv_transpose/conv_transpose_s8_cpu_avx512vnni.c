#include "conv_transpose_s8.h"

INGOT_CONV_TRANSPOSE_S8_KERNEL
