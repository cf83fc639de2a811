/* conv_bf16_winograd: F(2 x 2, 3x3) of winograd.h where images and weights are stored in bfloat16.
 *
 * Weights are G g G' rounded to bfloat16, [ceil(O / 16)][16][ceil(C / 2)][32] as gemm_half.h has them. Transforms and
 * sums are float32. Where the processor multiplies bfloat16 the transformed inputs are rounded to it, which costs about
 * as much accuracy as rounding the image does; elsewhere they stay float32, and so does the order of all sums. Tiles of
 * 4x4 would be five times as far off as products of bfloat16 are. */
#ifndef INGOT_CONV_WINOGRAD_HALF_H
#define INGOT_CONV_WINOGRAD_HALF_H

#include "winograd.h"

enum { INGOT_WINOGRAD_HALF_PIXELS = 4, INGOT_WINOGRAD_HALF_POSITIONS = 16 };

/* The results of a tile: those of ingot_winograd_output, stored in bfloat16; any number of columns. */
typedef struct ingot_winograd_half_output {
    const float *from;
    int64_t stride, columns;
    const float *bias;               /* or NULL */
    uint16_t *const *out;            /* pixels of the tile, line by line */
    const uint16_t *const *residual; /* the same, or NULL */
    float lo, hi;
} ingot_winograd_half_output;

/* What an instruction set adds that multiplies bfloat16. */
typedef struct ingot_winograd_bf16 {
    const ingot_bf16_dot *dot;
    /* to[position * stride + channel] = B' d B for any number of channels, zeros up to a whole panel */
    void (*input)(const uint16_t *const *pixels, int64_t channels, uint16_t *to, int64_t stride);
    void (*output)(const ingot_winograd_half_output *tile);
} ingot_winograd_bf16;

int ingot_conv_winograd_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                                 const ingot_winograd_isa *isa, const ingot_half_isa *half,
                                 const ingot_winograd_bf16 *bf16);

#endif
