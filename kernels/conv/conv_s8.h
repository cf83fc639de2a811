/* conv_s8_n16k4: what its files share.
 *
 * weights: panels of 16 output channels, [groups x ceil(O / groups / 16)][steps][16][4]. Products are taken four at a
 * time. A window without groups or dilation along its rows is taken row by row, [rows of the kernel][width x C], each
 * padded with zeros to fours; others, and those that are written out, as [taps][C / groups], padded at the end. */
#ifndef INGOT_CONV_S8_H
#define INGOT_CONV_S8_H

#include "conv_band.h"
#include "conv_indirect.h"
#include "gemm_s8.h"

enum { INGOT_CONV_SUMS = 4, INGOT_CONV_SCALE = 5 }; /* operands behind those of every convolution */

/* What both kernels ask of types and numbers. */
const char *ingot_conv_s8_operands_check(const ingot_call *call);

/* Whether windows are taken row by row. */
static inline int ingot_conv_s8_by_rows(const ingot_call *call, const ingot_conv_shape *s) {
    const ingot_conv_s8_params *p = call->params;
    return s->groups == 1 && (s->kernel[2] == 1 || s->dilation[2] == 1) && p->tuning.way != INGOT_CONV_S8_WINDOWS;
}

/* Where windows are read: tiles of any pixels through conv_indirect.h, or tiles of pixels that are neighbours in a row,
 * each row of a window as one run, from the input where it lies or from a band. */
typedef enum ingot_conv_s8_source {
    INGOT_CONV_S8_ANY,
    INGOT_CONV_S8_DIRECT,
    INGOT_CONV_S8_BAND,
} ingot_conv_s8_source;

typedef struct ingot_conv_s8_plan {
    int32_t source; /* ingot_conv_s8_source */
    ingot_conv_band band;
} ingot_conv_s8_plan;

/* Takes a source for what `tiles` plans. */
void ingot_conv_s8_plan_make(const ingot_call *call, const ingot_conv_plan *tiles, ingot_conv_s8_plan *plan);

uint64_t ingot_conv_s8_strips_scratch_size(const ingot_conv_plan *tiles, const ingot_conv_s8_plan *plan);

/* A tile's rows of the result, and a tile with all that is the same for those of a call. */
typedef struct ingot_conv_s8_rows {
    void *out[INGOT_GEMM_MR];
    const int8_t *residual[INGOT_GEMM_MR];
} ingot_conv_s8_rows;

void ingot_conv_s8_tile_begin(const ingot_call *call, ingot_conv_s8_rows *rows, ingot_gemm_s8 *tile);

/* Points at the results of `count` pixels. */
void ingot_conv_s8_tile_point(const ingot_call *call, int64_t pixel, int64_t count, ingot_conv_s8_rows *rows,
                              ingot_gemm_s8 *tile);

/* Does a slice of a group's panels. */
void ingot_conv_s8_tile_run(const ingot_call *call, const ingot_conv_plan *tiles, int64_t group, int64_t slice,
                            ingot_gemm_s8 *tile, ingot_gemm_s8_fn fn);

/* Units of the ways by rows. */
void ingot_conv_s8_strips_run(const ingot_call *call, const ingot_conv_plan *tiles, const ingot_conv_s8_plan *plan,
                              uint32_t begin, uint32_t end, void *scratch, ingot_gemm_s8_fn fn);

int ingot_conv_s8_n16k4_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, ingot_gemm_s8_fn fn);

#define INGOT_CONV_S8_KERNEL                                                                                           \
    INGOT_KERNEL_FN(conv_s8_n16k4) {                                                                                   \
        return ingot_conv_s8_n16k4_run(call, begin, end, scratch, INGOT_PASTE(ingot_, gemm_s8, INGOT_ISA).tile);       \
    }

#endif
