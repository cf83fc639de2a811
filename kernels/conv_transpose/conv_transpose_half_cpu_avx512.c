#include "conv_transpose_half.h"

INGOT_KERNEL_FN(conv_transpose_f16_n16) {
    return ingot_conv_transpose_half_run(call, begin, end, scratch, &ingot_half__avx512, NULL);
}

INGOT_KERNEL_FN(conv_transpose_bf16_n16k2) {
    return ingot_conv_transpose_half_run(call, begin, end, scratch, &ingot_half__avx512, NULL);
}
