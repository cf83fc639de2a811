#include "winograd_bf16_impl.h"

INGOT_KERNEL_FN(conv_bf16_winograd) {
    return ingot_conv_winograd_half_run(call, begin, end, scratch, &ingot_winograd__avx512, &ingot_half__avx512,
                                        &winograd_bf16);
}
