/* matmul_f16_n16 and matmul_bf16_n16k2: what the files of the instruction sets need of matmul_half_cpu.c. */
#ifndef INGOT_MATMUL_HALF_H
#define INGOT_MATMUL_HALF_H

#include "gemm_half.h"

int ingot_matmul_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                          const ingot_half_isa *isa, const ingot_bf16_dot *dot);

#endif
