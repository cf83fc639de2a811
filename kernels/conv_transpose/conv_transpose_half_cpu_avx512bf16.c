#include "conv_transpose_half.h"

INGOT_KERNEL_FN(conv_transpose_bf16_n16k2) {
    return ingot_conv_transpose_half_run(call, begin, end, scratch, &ingot_half__avx512, &ingot_bf16_dot__avx512bf16);
}
