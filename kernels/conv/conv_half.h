/* conv_f16_n16, conv_bf16_n16k2: what other files need of conv_half_cpu.c. */
#ifndef INGOT_CONV_HALF_H
#define INGOT_CONV_HALF_H

#include "gemm_half.h"
#include "kernel.h"

int ingot_conv_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, const ingot_half_isa *isa,
                        const ingot_bf16_dot *dot);

extern const ingot_family ingot_family_conv_half;

#endif
