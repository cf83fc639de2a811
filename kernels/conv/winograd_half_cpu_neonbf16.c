#include "winograd_bf16_impl.h"

INGOT_KERNEL_FN(conv_bf16_winograd) {
    return ingot_conv_winograd_half_run(call, begin, end, scratch, &ingot_winograd__neon, &ingot_half__neon,
                                        &winograd_bf16);
}
