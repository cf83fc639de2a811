/* conv_transpose_f32_n16: what the files of the instruction sets need of conv_transpose_cpu.c. */
#ifndef INGOT_CONV_TRANSPOSE_F32_H
#define INGOT_CONV_TRANSPOSE_F32_H

#include "gemm_f32.h"
#include "kernel.h"

int ingot_conv_transpose_f32_n16_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                                     const ingot_gemm_f32_isa *isa);

#endif
