/* conv_s8_dw: INT8 convolution of which each channel is a group, exact on every instruction set.
 *
 * The pixels of a row that lie side by side are one run of lanes, whose channels repeat; a vector of lanes takes four
 * taps at a time. weights: [blocks][ceil(taps / 4)][256], where block b belongs to lanes 64 b to 64 b + 63 of a run
 * that begins with channel 0, and there are as many as it takes until they repeat; where that would be more than
 * INGOT_DW_S8_REPEAT, runs end with each pixel and blocks cover its channels. Taps are padded with zeros.
 *
 * Column by column (ingot_depthwise_s8_way), blocks cover the channels of a pixel, and what stands for steps of four
 * taps are the columns of the window, each with four lines: [blocks][3][256].
 * In pairs of rows, the kernel derives those of the lower one, a line further down. */
#ifndef INGOT_CONV_DEPTHWISE_S8_H
#define INGOT_CONV_DEPTHWISE_S8_H

#include "conv_band.h"
#include "conv_s8.h"

enum { INGOT_DW_S8_REPEAT = 32 /* blocks */ };

int ingot_conv_s8_dw_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                         const ingot_gemm_s8_isa *isa);

#define INGOT_CONV_S8_DW_KERNEL                                                                                        \
    INGOT_KERNEL_FN(conv_s8_dw) {                                                                                      \
        return ingot_conv_s8_dw_run(call, begin, end, scratch, &INGOT_PASTE(ingot_, gemm_s8, INGOT_ISA));              \
    }

#endif
