#include "winograd_half.h"

INGOT_KERNEL_FN(conv_bf16_winograd) {
    return ingot_conv_winograd_half_run(call, begin, end, scratch, &ingot_winograd__avx2, &ingot_half__avx2, NULL);
}
