#include "matmul_f32.h"

INGOT_KERNEL_FN(matmul_f32_n16) { return ingot_matmul_f32_n16_run(call, begin, end, scratch, &ingot_gemm_f32__avx2); }

INGOT_KERNEL_FN(matmul_f32_n16_cut) {
    return ingot_matmul_f32_n16_run(call, begin, end, scratch, &ingot_gemm_f32__avx2);
}

INGOT_KERNEL_FN(matmul_f32) { return ingot_matmul_f32_run(call, begin, end, scratch, &ingot_gemm_f32__avx2); }
