/* The bodies of the INT8 micro-kernels for one instruction set, in terms of its s8_dot.h. Tiles first leave their sums
 * in a small buffer, so that there is one epilogue, written once. */
#include "gemm_s8.h"
#include "s8_dot.h"

enum { S8_COLUMNS = S8_BYTES / INGOT_S8_STEP }; /* of a vector of sums */

/* [panel][row][column], of the panels done together. */
typedef int32_t s8_panel_sums[INGOT_GEMM_MR][INGOT_GEMM_NR];

/* A few rows by a few vectors of columns. */
typedef struct s8_job {
    const void *const *rows;
    const int8_t *weights;
    int64_t taps, steps;
    int64_t weights_stride, sums_stride; /* from one vector of columns to the next */
    int32_t *sums;
    int32_t mr;
} s8_job;

/* `rows` and `vectors` are constants where this is inlined; rows beyond mr repeat the first. */
S8_INLINE void s8_block(const s8_job *job, const int rows, const int vectors) {
    const int8_t *w = job->weights;
    const void *const *from = job->rows;
    s8_sum sum[S8_ROWS][S8_VECTORS];
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            sum[r][v] = s8_zero();
        }
    }
    for (int64_t tap = 0; tap < job->taps; tap++, from += INGOT_GEMM_MR) {
        const int8_t *x[S8_ROWS];
#pragma GCC unroll 10
        for (int r = 0; r < rows; r++) {
            x[r] = from[r < job->mr ? r : 0];
        }
        for (int64_t k = 0; k < job->steps; k++, w += INGOT_S8_BLOCK) {
            s8_weights weights[S8_VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) {
                weights[v] = s8_load_weights(w + v * job->weights_stride);
            }
#pragma GCC unroll 10
            for (int r = 0; r < rows; r++) {
                const s8_factor four = s8_splat(x[r] + k * INGOT_S8_STEP);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++) {
                    sum[r][v] = s8_dot(sum[r][v], four, weights[v]);
                }
            }
        }
    }
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            s8_store(job->sums + v * job->sums_stride + r * INGOT_GEMM_NR, sum[r][v]);
        }
    }
}

typedef void (*s8_block_fn)(const s8_job *job);

#define S8_BLOCK_FUNCTION(rows, vectors)                                                                               \
    static void s8_block_##rows##x##vectors(const s8_job *job) { s8_block(job, rows, vectors); }

S8_BLOCK_FUNCTIONS

/* The columns of a panel: offset undoes what the zero point of the input and the instruction add to each sum. */
typedef struct s8_columns {
    uint32_t offset[INGOT_GEMM_NR];
    float scale[INGOT_GEMM_NR], bias[INGOT_GEMM_NR];
} s8_columns;

/* The first `count` of sixteen elements, without a call: the loops around it keep everything in registers. */
S8_INLINE void s8_copy_n(void *to, const void *from, int64_t count, const size_t element) {
    char *y = to;
    const char *x = from;
    if (count == INGOT_GEMM_NR) {
        memcpy(y, x, INGOT_GEMM_NR * element);
        return;
    }
#pragma GCC unroll 4
    for (int64_t part = INGOT_GEMM_NR / 2; part > 0; part /= 2) {
        if (count & part) {
            const size_t bytes = (size_t)part * element;
            memcpy(y, x, bytes);
            y += bytes;
            x += bytes;
        }
    }
}

static void s8_read_columns(const ingot_gemm_s8 *t, int64_t column, int64_t count, s8_columns *c) {
    memset(c, 0, sizeof *c);
    s8_copy_n(c->offset, t->sums + column, count, sizeof *c->offset);
    s8_copy_n(c->scale, t->scale + column, count, sizeof *c->scale);
    if (t->bias != NULL) {
        s8_copy_n(c->bias, t->bias + column, count, sizeof *c->bias);
    }
    for (int j = 0; j < INGOT_GEMM_NR; j++) {
        c->offset[j] *= 0u - (uint32_t)(t->input_zero + S8_FLIP);
    }
    if (t->whole_bias != NULL) {
        uint32_t whole[INGOT_GEMM_NR] = {0};
        s8_copy_n(whole, t->whole_bias + column, count, sizeof *whole);
        for (int j = 0; j < INGOT_GEMM_NR; j++) {
            c->offset[j] += whole[j];
        }
    }
}

/* The epilogue of `count` columns. Loops over sixteen lanes become vectors; one loop for each size of element, or the
 * smallest of them sets the width of all. `residual` and `stored` (the result is int8) are constants for most. */
S8_INLINE void s8_finish_rows(const ingot_gemm_s8 *t, const s8_panel_sums sums, const s8_columns *c, int64_t column,
                              int64_t count, const int8_t *const *residual, const int stored) {
    const int32_t rows = t->mr, residual_zero = t->residual_zero;
    const float residual_scale = t->residual_scale;
    const ingot_requantize q = t->requantize;
    const ingot_requantize_fast fast = t->fast;
    void *const *out = t->out;
    for (int r = 0; r < rows; r++) {
        float v[INGOT_GEMM_NR];
        for (int j = 0; j < INGOT_GEMM_NR; j++) {
            v[j] = ingot_fma_f32((float)(int32_t)((uint32_t)sums[r][j] + c->offset[j]), c->scale[j], c->bias[j]);
        }
        if (residual != NULL) {
            int8_t bytes[INGOT_GEMM_NR] = {0};
            int32_t whole[INGOT_GEMM_NR];
            s8_copy_n(bytes, residual[r] + column, count, 1);
            for (int j = 0; j < INGOT_GEMM_NR; j++) {
                whole[j] = bytes[j];
            }
            for (int j = 0; j < INGOT_GEMM_NR; j++) {
                v[j] = ingot_fma_f32((float)(whole[j] - residual_zero), residual_scale, v[j]);
            }
        }
        if (stored) {
            int32_t whole[INGOT_GEMM_NR];
            int8_t *y = (int8_t *)out[r] + column;
            for (int j = 0; j < INGOT_GEMM_NR; j++) {
                whole[j] = ingot_requantize_fast_i32(&fast, v[j]);
            }
            if (count == INGOT_GEMM_NR) {
                s8_narrow(y, whole);
            } else {
                int8_t bytes[INGOT_GEMM_NR];
                s8_narrow(bytes, whole);
                s8_copy_n(y, bytes, count, 1);
            }
        } else {
            for (int j = 0; j < INGOT_GEMM_NR; j++) {
                v[j] = ingot_clamp_f32(&q, v[j]);
            }
            s8_copy_n((float *)out[r] + column, v, count, sizeof *v);
        }
    }
}

/* The epilogue of a panel that begins at `first` of the tile's columns. */
static void s8_finish(const ingot_gemm_s8 *t, const s8_panel_sums sums, int64_t first) {
    const int64_t left = t->columns - first, column = t->column + first;
    const int64_t count = left < INGOT_GEMM_NR ? left : INGOT_GEMM_NR;
    s8_columns c;
    s8_read_columns(t, column, count, &c);
    if (t->float_out) {
        s8_finish_rows(t, sums, &c, column, count, t->residual, 0);
    } else if (t->residual != NULL) {
        s8_finish_rows(t, sums, &c, column, count, t->residual, 1);
    } else {
        s8_finish_rows(t, sums, &c, column, count, NULL, 1);
    }
}

/* All rows of the tile by the panels from `first` on, `panels` of them. */
static void s8_panels(const ingot_gemm_s8 *t, int64_t first, int panels, s8_panel_sums *sums) {
    const int8_t *weights = t->weights + first / INGOT_GEMM_NR * t->panel_stride;
    const int wide = S8_COLUMNS == 16; /* a vector is a panel, and a block several of them */
    const int vectors = wide ? panels : S8_VECTORS;
    const int blocks = (t->mr + S8_ROWS - 1) / S8_ROWS, base = t->mr / blocks, longer = t->mr % blocks;
    for (int b = 0, row = 0; b < blocks; b++) {
        const int mr = base + (b < longer);
        for (int v = 0; v < (wide ? vectors : INGOT_GEMM_NR / S8_COLUMNS); v += vectors) {
            const s8_job job = {
                .rows = t->rows + row,
                .weights = weights + v * S8_BYTES,
                .taps = t->taps,
                .steps = t->steps,
                .weights_stride = wide ? t->panel_stride : S8_BYTES,
                .sums_stride = wide ? INGOT_GEMM_MR * INGOT_GEMM_NR : S8_COLUMNS,
                .sums = &sums[0][row][v * S8_COLUMNS],
                .mr = mr,
            };
            s8_find_block(mr, vectors)(&job);
        }
        row += mr;
    }
    if (t->row_offset != NULL) {
        for (int i = 0; i < panels * INGOT_GEMM_MR * INGOT_GEMM_NR; i++) {
            const int row = i / INGOT_GEMM_NR % INGOT_GEMM_MR;
            int32_t *sum = &sums[0][0][0] + i;
            *sum = (int32_t)((uint32_t)*sum + (uint32_t)(row < t->mr ? t->row_offset[row] : 0));
        }
    }
    for (int p = 0; p < panels; p++) {
        s8_finish(t, (const int32_t(*)[INGOT_GEMM_NR])sums[p], first + p * INGOT_GEMM_NR);
    }
}

static void s8_tile(const ingot_gemm_s8 *t) {
    s8_panel_sums sums[S8_MOST_PANELS];
    for (int64_t first = 0; first < t->columns;) {
        const int64_t left = (t->columns - first + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR;
        const int panels = s8_panels_together(t->mr, left);
        s8_panels(t, first, panels, sums);
        first += panels * INGOT_GEMM_NR;
    }
}

/* As many channels of one pixel as fill a vector, `count` of them there. */
static void s8_pixel(const ingot_gemm_s8 *t, int row, int64_t channel, int64_t count, const int8_t *weights,
                     int32_t *sums) {
    const void *const *from = t->rows + row;
    s8_sum sum[4] = {s8_zero(), s8_zero(), s8_zero(), s8_zero()};
    for (int64_t tap = 0; tap < t->taps; tap += 4, from += 4 * INGOT_GEMM_MR, weights += INGOT_S8_LANES_BLOCK) {
        s8_bytes x[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            x[i] = s8_load((const int8_t *)from[i * INGOT_GEMM_MR] + channel, count);
        }
        s8_interleave(x);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            sum[i] = s8_dot(sum[i], s8_widen(x[i]), s8_load_weights(weights + i * INGOT_S8_LANES));
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        s8_store_lanes(sums + 4 * i, INGOT_GEMM_MR * INGOT_GEMM_NR, sum[i]);
    }
}

static void s8_depthwise(const ingot_gemm_s8 *t) {
    s8_panel_sums sums[INGOT_S8_LANES / INGOT_GEMM_NR];
    const int8_t *weights = t->weights;
    for (int64_t c = 0; c < t->columns; c += INGOT_S8_LANES, weights += t->taps / 4 * INGOT_S8_LANES_BLOCK) {
        const int64_t left = t->columns - c < INGOT_S8_LANES ? t->columns - c : INGOT_S8_LANES;
        for (int64_t lane = 0; lane < left; lane += S8_BYTES) {
            for (int r = 0; r < t->mr; r++) {
                s8_pixel(t, r, c + lane, left - lane, weights + lane, &sums[lane / INGOT_GEMM_NR][r][0]);
            }
        }
        for (int64_t lane = 0; lane < left; lane += INGOT_GEMM_NR) {
            s8_finish(t, (const int32_t(*)[INGOT_GEMM_NR])sums[lane / INGOT_GEMM_NR], c + lane);
        }
    }
}

const ingot_gemm_s8_isa INGOT_PASTE(ingot_, gemm_s8, INGOT_ISA) = {.tile = s8_tile, .depthwise = s8_depthwise};
