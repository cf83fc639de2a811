#define winograd_narrow(to, x) v16_narrow(INGOT_BF16, to, x)

#include "winograd_bf16_impl.h"

INGOT_KERNEL_FN(conv_bf16_winograd) {
    return ingot_conv_winograd_half_run(call, begin, end, scratch, &ingot_winograd__neon, &ingot_half__neon,
                                        &winograd_bf16);
}
