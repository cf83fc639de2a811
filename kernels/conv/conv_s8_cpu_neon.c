#include "conv_s8.h"
#include "depthwise_s8.h"

INGOT_CONV_S8_KERNEL
INGOT_CONV_S8_DW_KERNEL
