/* conv_f32_n16 and conv_f32_n16_cut: what the files of the instruction sets and conv_cut_cpu.c need of conv_cpu.c. */
#ifndef INGOT_CONV_F32_H
#define INGOT_CONV_F32_H

#include "gemm_f32.h"
#include "kernel.h"

int ingot_conv_f32_n16_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const ingot_gemm_f32_isa *isa);

extern const ingot_family ingot_family_conv_f32_n16;

#endif
