/* conv_transpose_f16_n16 and conv_transpose_bf16_n16k2: what the files of the instruction sets need of
 * conv_transpose_half_cpu.c. */
#ifndef INGOT_CONV_TRANSPOSE_HALF_H
#define INGOT_CONV_TRANSPOSE_HALF_H

#include "gemm_half.h"

int ingot_conv_transpose_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                                  const ingot_half_isa *isa, const ingot_bf16_dot *dot);

#endif
