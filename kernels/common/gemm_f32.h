/* The one FP32 matrix micro-kernel, shared by convolution, transposed convolution and matrix product.
 *
 * It computes a tile of up to INGOT_GEMM_MR rows and any number of columns:
 *
 *     out[r][column + j] = activation(bias[column + j] + residual[r][column + j]
 *                                     + sum over tap, k of rows[tap][r][k] * weights[tap][k][j])
 *
 * with weights in panels of INGOT_GEMM_NR columns, [panel][tap][k][16], the last one padded with zeros. The layout is
 * the same for all instruction sets. A row of the left operand is given as one pointer a tap, so that a convolution
 * reads its input where it lies and a border reads a row of zeros. Each result has one accumulator for the whole sum,
 * in an order given by the shape alone: the bits do not depend on how tiles are split over threads. */
#ifndef INGOT_GEMM_F32_H
#define INGOT_GEMM_F32_H

#include <stddef.h>
#include <stdint.h>

#include "activation.h"
#include "gemm_cut.h"

enum {
    INGOT_GEMM_MR = 10,   /* most rows of a tile, and the stride of `rows`: 10 x 32 or twice 5 x 16 */
    INGOT_GEMM_NR = 16,   /* columns of a panel */
    INGOT_GEMM_GROUP = 2, /* panels that are best done together */

    /* Bytes of weights that stay in the second-level cache: tiles may then have all slices one after the other. */
    INGOT_GEMM_CACHED = 192 * 1024,
};

typedef struct ingot_gemm_f32 {
    const void *const *rows;      /* of floats: [taps][INGOT_GEMM_MR], the first mr of each tap are used */
    int64_t taps, length;         /* length of each run */
    const float *weights;         /* first panel of this tile */
    int64_t panel_stride;         /* floats from a panel to the next */
    float *const *out;            /* [mr] */
    const float *const *residual; /* [mr], or NULL; may be the same bytes as out */
    const float *bias;            /* per column, or NULL */
    int64_t column, columns;      /* first column in out, residual and bias; how many */
    int32_t mr;
    float lo, hi;                       /* clamp; infinite when there is none */
    const ingot_activation *activation; /* NULL when the clamp does it */
} ingot_gemm_f32;

typedef void (*ingot_gemm_f32_fn)(const ingot_gemm_f32 *tile);

/* One row times a matrix that is used too little to be packed: out[j] = sum over k of row[k] * matrix element (k, j).
 * The matrix lies [k][j], or [j][k] for the transposed form; pitch is what is from one row of it to the next. */
typedef struct ingot_row_f32 {
    const float *row, *matrix;
    int64_t pitch, length, columns;
    float *out;
} ingot_row_f32;

typedef void (*ingot_row_f32_fn)(const ingot_row_f32 *task);

/* The implementations of one instruction set, handed to the drivers. */
typedef struct ingot_gemm_f32_isa {
    ingot_gemm_f32_fn tile;
    ingot_row_f32_fn row, row_transposed;
    void (*activate)(const ingot_activation *activation, float *x, int64_t n);
} ingot_gemm_f32_isa;

extern const ingot_gemm_f32_isa ingot_gemm_f32__portable, ingot_gemm_f32__avx2, ingot_gemm_f32__avx512,
    ingot_gemm_f32__neon;

/* How many panels of the weights a work unit should do with one tile of rows: as many as share a second-level cache
 * with the rows. `bytes` of one panel. */
static inline int64_t ingot_gemm_slice(int64_t panels, int64_t bytes) {
    enum { MOST = 8, CACHE = 256 * 1024 };
    int64_t slice = INGOT_GEMM_GROUP;
    while (slice < MOST && slice < panels && 2 * slice * bytes <= CACHE) {
        slice *= 2;
    }
    return slice;
}

/* Rows that lie a multiple of 4096 bytes apart fall into one set of a first-level cache and throw each other out; a
 * long run of them is better copied to rows of this pitch. */
static inline int ingot_gemm_rows_collide(int64_t pitch_bytes, int64_t length) {
    return pitch_bytes % 4096 == 0 && length >= 256;
}

static inline int64_t ingot_gemm_copy_pitch(int64_t length) { return length + INGOT_GEMM_NR; }

/* Splits an activation between the clamp in registers and a pass over the finished tile. */
static inline void ingot_gemm_f32_activation(ingot_gemm_f32 *tile, const ingot_activation *activation) {
    tile->lo = -__builtin_inff();
    tile->hi = __builtin_inff();
    tile->activation = NULL;
    switch (activation->kind) {
    case INGOT_ACT_NONE: break;
    case INGOT_ACT_RELU: tile->lo = 0.0f; break;
    case INGOT_ACT_CLIP:
        tile->lo = activation->alpha;
        tile->hi = activation->beta;
        break;
    default: tile->activation = activation;
    }
}

static inline int ingot_gemm_cut_valid(const ingot_gemm_cut *cut) {
    return cut->rows >= 1 && cut->rows <= INGOT_GEMM_MR && cut->slice >= 1 && cut->slice <= 64 &&
           (cut->tile_major == 0 || cut->tile_major == 1) && cut->reserved == 0;
}

#endif
