#include "conv_half.h"

INGOT_KERNEL_FN(conv_f16_n16) { return ingot_conv_half_run(call, begin, end, scratch, &ingot_half__avx512, NULL); }

INGOT_KERNEL_FN(conv_bf16_n16k2) { return ingot_conv_half_run(call, begin, end, scratch, &ingot_half__avx512, NULL); }
