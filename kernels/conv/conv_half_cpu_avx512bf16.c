#include "conv_half.h"

INGOT_KERNEL_FN(conv_bf16_n16k2) {
    return ingot_conv_half_run(call, begin, end, scratch, &ingot_half__avx512, &ingot_bf16_dot__avx512bf16);
}
