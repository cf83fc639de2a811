/* matmul_s8_n16k4 and matmul_s8: what the files of the instruction sets need of matmul_s8_cpu.c. */
#ifndef INGOT_MATMUL_S8_H
#define INGOT_MATMUL_S8_H

#include "gemm_s8.h"

int ingot_matmul_s8_n16k4_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, ingot_gemm_s8_fn fn);
int ingot_matmul_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, ingot_gemm_s8_fn fn);

#define INGOT_MATMUL_S8_KERNELS                                                                                        \
    INGOT_KERNEL_FN(matmul_s8_n16k4) {                                                                                 \
        return ingot_matmul_s8_n16k4_run(call, begin, end, scratch, INGOT_PASTE(ingot_, gemm_s8, INGOT_ISA).tile);     \
    }                                                                                                                  \
    INGOT_KERNEL_FN(matmul_s8) {                                                                                       \
        return ingot_matmul_s8_run(call, begin, end, scratch, INGOT_PASTE(ingot_, gemm_s8, INGOT_ISA).tile);           \
    }

#endif
