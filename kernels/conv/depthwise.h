/* conv_f32_dw: a convolution in which each channel is a group of its own. Shared by depthwise_cpu.c, which plans it,
 * and depthwise_impl.h, which the files of the instruction sets compile. */
#ifndef INGOT_CONV_DEPTHWISE_H
#define INGOT_CONV_DEPTHWISE_H

#include "conv_shape.h"
#include "gemm_half.h"

enum { INGOT_DW_LANES = 16, INGOT_DW_CHUNK = 32 /* output pixels of a work unit, all in one row */ };

typedef struct ingot_dw_plan {
    ingot_conv_shape shape;
    int64_t chunks;                 /* of a row */
    int64_t inner_begin, inner_end; /* output columns whose window lies inside the image, left to right */
} ingot_dw_plan;

/* Neighbouring output pixels of a row, in float32. Operands point at what belongs to the first of them. */
typedef struct ingot_dw_row {
    const ingot_conv_shape *shape; /* extents and pitches as they are for this row: of all channels, or of some */
    const float *image;            /* with all planes and lines that shape says */
    const float *weights, *bias;
    const float *residual; /* or NULL */
    int64_t residual_pitch;
    float *out;
    const ingot_activation *activation;
    int64_t z0, y0;                 /* where its windows begin in the image */
    int64_t begin, end;             /* columns of the output */
    int64_t inner_begin, inner_end; /* columns whose window lies inside the image, left to right */
} ingot_dw_row;

typedef void (*ingot_dw_row_fn)(const ingot_dw_row *row);

extern const ingot_family ingot_family_conv_f32_dw;

/* Fills in shape and inner columns of a plan. */
void ingot_dw_plan_make(const ingot_call *call, int64_t taps, ingot_dw_plan *plan);

struct ingot_dw_half_tiles;

/* `tiles`, or NULL, are for what is stored in bfloat16 alone and has windows of 3x3. */
int ingot_conv_half_dw_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const ingot_half_isa *isa, ingot_dw_row_fn fn, const struct ingot_dw_half_tiles *tiles);

#endif
