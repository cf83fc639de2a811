#include "image_conv_impl.h"

static const ingot_image_isa isa = {&ingot_half__avx512, NULL, &ingot_image_joins__avx512};

INGOT_KERNEL_FN(image_conv_f32_n16) { return ingot_image_conv_f32_run(call, begin, end, scratch, &isa); }
INGOT_KERNEL_FN(image_conv_f16_n16) { return ingot_image_conv_half_run(call, begin, end, scratch, &isa); }
INGOT_KERNEL_FN(image_conv_bf16_n16k2) { return ingot_image_conv_half_run(call, begin, end, scratch, &isa); }
