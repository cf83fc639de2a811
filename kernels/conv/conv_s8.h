/* conv_s8_n16k4: what the files of the instruction sets need of conv_s8_cpu.c.
 *
 * Sixteen output channels a panel, four input channels a step: the layout of the dot product instructions of x86 and
 * ARM. weights: [groups x ceil(O / groups / 16)][taps][ceil(C / groups / 4)][16 x 4], padded with zeros. */
#ifndef INGOT_CONV_S8_H
#define INGOT_CONV_S8_H

#include "conv_indirect.h"
#include "requantize.h"

enum { INGOT_CONV_SUMS = 4, INGOT_CONV_SCALE = 5 }; /* operands behind those of every convolution */
enum { INGOT_S8_STEP = 4, INGOT_S8_BLOCK = INGOT_GEMM_NR * INGOT_S8_STEP };

/* A tile of pixels by one panel of channels. */
typedef struct ingot_conv_s8_tile {
    ingot_conv_tile at;
    const int8_t *weights; /* the panel */
    const int32_t *sums;   /* of the weights of each column, whole windows: [columns] */
    const float *scale;    /* input scale times weight scale: [columns] */
    const float *bias;     /* real numbers: [columns], or NULL */
    int8_t *const *out;
    const int8_t *const *residual; /* or NULL */
    int64_t columns;               /* 1..16 */
    float residual_scale;
    int32_t residual_zero, input_zero;
    ingot_requantize requantize;
} ingot_conv_s8_tile;

typedef void (*ingot_conv_s8_fn)(const ingot_conv_s8_tile *tile);

int ingot_conv_s8_n16k4_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                            ingot_conv_s8_fn compute);

#endif
