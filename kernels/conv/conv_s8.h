/* conv_s8_n16k4 and conv_s8_dw: what the files of the instruction sets need of conv_s8_cpu.c.
 *
 * weights of n16k4: panels of 16 output channels, [groups x ceil(O / groups / 16)][steps][16][4]. The products of a
 * window, [taps][C / groups], are taken four at a time; padded with zeros at the end.
 * weights of dw: see ingot_gemm_s8_isa; [ceil(C / 64)][ceil(taps / 4)][256], padded with zeros. */
#ifndef INGOT_CONV_S8_H
#define INGOT_CONV_S8_H

#include "conv_indirect.h"
#include "gemm_s8.h"

enum { INGOT_CONV_SUMS = 4, INGOT_CONV_SCALE = 5 }; /* operands behind those of every convolution */

int ingot_conv_s8_n16k4_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, ingot_gemm_s8_fn fn);
int ingot_conv_s8_dw_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, ingot_gemm_s8_fn fn);

#define INGOT_CONV_S8_KERNELS                                                                                          \
    INGOT_KERNEL_FN(conv_s8_n16k4) {                                                                                   \
        return ingot_conv_s8_n16k4_run(call, begin, end, scratch, INGOT_PASTE(ingot_, gemm_s8, INGOT_ISA).tile);       \
    }                                                                                                                  \
    INGOT_KERNEL_FN(conv_s8_dw) {                                                                                      \
        return ingot_conv_s8_dw_run(call, begin, end, scratch, INGOT_PASTE(ingot_, gemm_s8, INGOT_ISA).depthwise);     \
    }

#endif
