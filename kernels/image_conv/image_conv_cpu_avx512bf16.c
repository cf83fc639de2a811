#include "image_conv_cpu.h"
#include "kernel.h"

static const ingot_image_isa isa = {&ingot_half__avx512, &ingot_bf16_dot__avx512bf16, &ingot_image_joins__avx512};

INGOT_KERNEL_FN(image_conv_bf16_n16k2) { return ingot_image_conv_half_run(call, begin, end, scratch, &isa); }
