/* The INT8 micro-kernels, shared by convolution, transposed convolution and matrix product.
 *
 * A tile of up to INGOT_GEMM_MR rows by any number of columns. Sums are exact 32-bit integers, which wrap around as
 * unsigned ones do; then, in binary32 and the same on every instruction set,
 *
 *     v = fma(sum, scale[j], bias[j])
 *     v = fma(residual - residual_zero, residual_scale, v)
 *     v = min(max(v, lo), hi)
 *     out = v, or requantised (requantize.h)
 *
 * where sum = sum over k of (row[k] - input_zero) * weight[k][j] + row_offset + whole_bias[j]. */
#ifndef INGOT_GEMM_S8_H
#define INGOT_GEMM_S8_H

#include <stddef.h>
#include <stdint.h>

#include "gemm_f32.h"
#include "kernel.h"
#include "numbers_s8.h"

enum {
    INGOT_S8_STEP = 4,                              /* bytes that one instruction multiplies and adds */
    INGOT_S8_BLOCK = INGOT_GEMM_NR * INGOT_S8_STEP, /* of weights: [16 columns][4] */
    INGOT_S8_LANES = 64,                            /* of a depthwise block */
    INGOT_S8_LANES_BLOCK = INGOT_S8_LANES * INGOT_S8_STEP,
};

typedef struct ingot_gemm_s8 {
    const void *const *rows; /* of bytes: [taps][INGOT_GEMM_MR], the first mr of each tap are used */
    int64_t taps, steps;     /* steps of four bytes in each run */
    const int8_t *weights;   /* panels [taps][steps][64] */
    int64_t panel_stride;
    void *const *out;              /* [mr], of int8 or float */
    const int8_t *const *residual; /* [mr], or NULL; may be the same bytes as out */
    const int32_t *sums;           /* of the weights of each column */
    const float *scale, *bias;     /* per column; bias may be NULL */
    const int32_t *whole_bias;     /* per column, or NULL */
    int64_t column, columns;       /* first column in out, residual, sums, scale and bias; how many */
    const int32_t *row_offset;     /* [mr], or NULL */
    int32_t mr;
    int32_t input_zero, residual_zero;
    float residual_scale;
    int32_t float_out;
    ingot_requantize requantize;
    ingot_requantize_fast fast;  /* the same */
    float tame_scale, tame_bias; /* no scale or bias beyond them: no result before the clamp is 2^30 or more */
} ingot_gemm_s8;

typedef void (*ingot_gemm_s8_fn)(const ingot_gemm_s8 *tile);

/* What belongs to 64 lanes of a run, in the order in which the bytes of four taps fall when they are interleaved within
 * 128 bits: [quarter of 16][which 16][lane]. */
typedef struct ingot_depthwise_columns {
    int32_t offset[2]
                  [INGOT_S8_LANES]; /* what the zero point of the input adds to each sum; with an instruction's 128 */
    float scale[INGOT_S8_LANES], bias[INGOT_S8_LANES];
} ingot_depthwise_columns;

static inline int ingot_depthwise_place(int lane) { return lane % 16 / 4 * 16 + lane / 16 * 4 + lane % 4; }

/* Depthwise: lane j of a run is the sum over taps of weight[tap][j] * taps[tap][offset + j]. Taps come in fours;
 * weights and columns in blocks of 64 lanes that repeat. Up to 64 bytes behind the last lane of a tap are read. */
typedef struct ingot_depthwise_s8 {
    const int8_t *const *taps; /* [4 steps] */
    int64_t steps, offset, lanes;
    const int8_t *weights;                  /* [blocks][steps][lane, in that order][4] */
    const ingot_depthwise_columns *columns; /* [blocks] */
    int64_t blocks;
    void *out;              /* of int8 or float */
    const int8_t *residual; /* or NULL; may be the same bytes as out */
    int32_t tame;           /* no result before the clamp is NaN, or 2^30 or more in size */
    ingot_gemm_s8 tile;     /* its numbers */
    /* Column by column: */
    int64_t pixels, stride;            /* of the output, side by side; stride 1 or 2 */
    int64_t out_pitch, residual_pitch; /* elements from one of them to the next */
} ingot_depthwise_s8;

/* Column by column: windows of three columns and up to four lines. taps: the lines, four of them, each with the lanes
 * of one column behind those of another; what weights of zero belong to may be anything. Pixel i is the sum over
 * columns i * stride + 0 to 2; weights [blocks][3 columns][lane, in that order][4 lines].
 *
 * In pairs: run[0] and run[1] are two rows of results from the same lines, by a stride of 1. They differ in weights,
 * out and residual. */
typedef void (*ingot_depthwise_s8_fn)(const ingot_depthwise_s8 *run);

typedef struct ingot_gemm_s8_isa {
    ingot_gemm_s8_fn tile;
    ingot_depthwise_s8_fn depthwise, depthwise_columns, depthwise_pairs;
} ingot_gemm_s8_isa;

extern const ingot_gemm_s8_isa ingot_gemm_s8__portable, ingot_gemm_s8__avx2, ingot_gemm_s8__avxvnni,
    ingot_gemm_s8__avx512vnni, ingot_gemm_s8__neon, ingot_gemm_s8__neondot;

/* `ways`: how many the kernel knows. */
static inline int ingot_s8_tuning_valid(const ingot_s8_tuning *t, int32_t ways) {
    return t->rows >= 0 && t->rows <= INGOT_GEMM_MR && t->slice >= 0 && t->slice <= 64 && t->way >= 0 &&
           t->way < ways && t->reserved == 0;
}

/* Most rows of a tile. */
static inline int64_t ingot_s8_tile_rows(const ingot_s8_tuning *t) { return t->rows > 0 ? t->rows : INGOT_GEMM_MR; }

/* A tile among those that `rows` rows are cut into. */
typedef struct ingot_s8_cut {
    int64_t first, count;
} ingot_s8_cut;

/* Tile `index` of ceil(rows / most): balanced, and in whole pairs where `most` is even, since blocks come in pairs of
 * rows. */
static inline ingot_s8_cut ingot_s8_cut_rows(int64_t rows, int64_t most, int64_t index) {
    const int64_t pair = most % 2 == 0 ? 2 : 1, tiles = (rows + most - 1) / most, pairs = (rows + pair - 1) / pair;
    const int64_t base = pairs / tiles, longer = pairs % tiles;
    const int64_t first = pair * (index * base + (index < longer ? index : longer));
    const int64_t count = pair * (base + (index < longer));
    return (ingot_s8_cut){first, count < rows - first ? count : rows - first};
}

/* Whether `arg` is a vector of `count`. */
static inline int ingot_s8_vector_valid(const ingot_arg *arg, uint8_t dtype, int64_t count) {
    return arg->dtype == dtype && arg->rank == 1 && arg->dims[0] == count;
}

/* A bias of int32 is part of the sums, one of float32 is added to them when they are scaled. */
static inline void ingot_gemm_s8_set_bias(const ingot_arg *bias, ingot_gemm_s8 *tile) {
    tile->bias = bias->dtype == INGOT_F32 ? bias->data : NULL;
    tile->whole_bias = bias->dtype == INGOT_I32 ? bias->data : NULL;
}

/* The element type that is asked of a bias. */
static inline uint8_t ingot_s8_bias_type(const ingot_arg *bias) {
    return bias->dtype == INGOT_I32 ? INGOT_I32 : INGOT_F32;
}

/* Sums are below 2^31, residuals below 2^8 in size: three terms of at most 2^29, and none that overflows. */
static inline void ingot_gemm_s8_set_tame(const ingot_s8_numbers *n, ingot_gemm_s8 *tile) {
    const float residual = n->residual_scale < 0.0f ? -n->residual_scale : n->residual_scale;
    const float scale = 0.25f / n->inverse_scale, bias = 0x1p28f / n->inverse_scale;
    const int small = residual * n->inverse_scale < 0x1p19f && residual < 1e34f;
    tile->tame_scale = !small ? -1.0f : scale < 1e28f ? scale : 1e28f;
    tile->tame_bias = bias < 1e37f ? bias : 1e37f;
}

/* Fills in what is the same for all tiles of a call. */
static inline void ingot_gemm_s8_describe(const ingot_s8_numbers *n, const ingot_activation *activation,
                                          const ingot_arg *out, ingot_gemm_s8 *tile) {
    tile->requantize = ingot_s8_requantize(n, activation);
    tile->fast = ingot_requantize_prepare(&tile->requantize);
    tile->residual_scale = n->residual_scale;
    ingot_gemm_s8_set_tame(n, tile);
    tile->residual_zero = n->residual_zero;
    tile->input_zero = n->input_zero;
    tile->float_out = out->dtype == INGOT_F32;
}

/* Bytes of a run, padded to whole steps. */
static inline int64_t ingot_s8_padded(int64_t length) {
    return (length + INGOT_S8_STEP - 1) / INGOT_S8_STEP * INGOT_S8_STEP;
}

/* Copies a run of a few bytes. */
static inline int8_t *ingot_s8_copy(int8_t *to, const int8_t *from, int64_t length) {
    if (length < 8) {
        for (int64_t i = 0; i < length; i++) {
            to[i] = from[i];
        }
    } else {
        for (int64_t i = 0; i < length - 8; i += 8) {
            memcpy(to + i, from + i, 8);
        }
        memcpy(to + length - 8, from + length - 8, 8);
    }
    return to + length;
}

#endif
