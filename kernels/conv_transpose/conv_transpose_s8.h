/* conv_transpose_s8_n16k4: what the files of the instruction sets need of conv_transpose_s8_cpu.c.
 *
 * weights: [groups x ceil(O / groups / 16)][taps sorted by phase][ceil(C / groups / 4)][16][4], padded with zeros.
 * sums: [strides z * y * x][O], of the taps that an output position of that phase uses; the phase of a position of an
 * axis is (position + pad) mod stride. */
#ifndef INGOT_CONV_TRANSPOSE_S8_H
#define INGOT_CONV_TRANSPOSE_S8_H

#include "gemm_s8.h"

int ingot_conv_transpose_s8_n16k4_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                                      ingot_gemm_s8_fn fn);

#define INGOT_CONV_TRANSPOSE_S8_KERNEL                                                                                 \
    INGOT_KERNEL_FN(conv_transpose_s8_n16k4) {                                                                         \
        return ingot_conv_transpose_s8_n16k4_run(call, begin, end, scratch,                                            \
                                                 INGOT_PASTE(ingot_, gemm_s8, INGOT_ISA).tile);                        \
    }

#endif
