#include "conv_s8.h"

INGOT_CONV_S8_KERNELS
