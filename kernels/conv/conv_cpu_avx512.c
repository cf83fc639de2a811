#include "conv_f32.h"

INGOT_KERNEL_FN(conv_f32_n16) { return ingot_conv_f32_n16_run(call, begin, end, scratch, &ingot_gemm_f32__avx512); }
INGOT_KERNEL_FN(conv_f32_n16_cut) { return ingot_conv_f32_n16_run(call, begin, end, scratch, &ingot_gemm_f32__avx512); }
