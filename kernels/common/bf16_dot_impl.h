/* Tiles of bfloat16 for an instruction set that multiplies it: sums of pairs of products in float32. The including file
 * defines
 *   BF16_ROWS       rows of a register tile, 5 or 10
 *   BF16_PANELS     panels of a register tile
 *   bf16_sums       sixteen sums, with bf16_zero, bf16_add, bf16_store, and bf16_dot(sums, pair of x, weights of a
 *                   step)
 *   bf16_dot_low    with INGOT_HAVE_V8: the same for the first eight */
#include "bf16_activation.h"
#include "bf16_round.h"
#include "gemm_half.h"

/* Takes runs over as they are; rounds those of float32. Whole registers are stored: what is behind a run is written
 * again, or lies in room that is left since rows may be float32. */
static void bf16_dot_rows(const ingot_half_rows *t) {
    const int64_t length = t->length;
    for (int r = 0; r < t->mr; r++) {
        uint16_t *to = (uint16_t *)t->to + r * t->pitch, *const end = to + t->pitch;
        for (int64_t tap = 0; tap < t->taps; tap++, to += length) {
            const void *run = t->rows[tap * INGOT_GEMM_MR + r];
            if (t->from == INGOT_BF16) {
                memcpy(to, run, (size_t)length * sizeof *to);
                continue;
            }
            int64_t i = 0;
            for (; i + 16 <= length; i += 16) {
                bf16_round(to + i, v16_load((const float *)run + i));
            }
            if (i < length) {
                bf16_round(to + i, v16_load_n((const float *)run + i, length - i));
            }
        }
        for (; to < end; to++) {
            *to = 0;
        }
    }
}

/* `rows` and `panels` are constants where this is inlined, rows beyond mr repeat the first; with `parts` sums for each
 * result, added at the end, the instructions of a small tile need not wait for each other. */
INGOT_INLINE void bf16_block(const ingot_half_sums *t, int row, int64_t panel, const int rows, const int panels,
                             const int parts) {
    bf16_sums sum[4][BF16_ROWS][BF16_PANELS];
    const uint16_t *w = t->weights + panel * t->panel_stride;
#pragma GCC unroll 4
    for (int u = 0; u < parts; u++) {
#pragma GCC unroll 10
        for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
            for (int p = 0; p < panels; p++) {
                sum[u][r][p] = bf16_zero();
            }
        }
    }
    for (int64_t tap = 0; tap < t->taps; tap++) {
        const void *const *pointers = t->rows + tap * INGOT_GEMM_MR + row;
        const uint16_t *x[BF16_ROWS];
#pragma GCC unroll 10
        for (int r = 0; r < rows; r++) {
            x[r] = pointers[r < t->mr - row ? r : 0];
        }
        int64_t k = 0;
        for (; k + parts <= t->steps; k += parts) {
#pragma GCC unroll 4
            for (int u = 0; u < parts; u++, w += INGOT_HALF_BLOCK) {
#pragma GCC unroll 10
                for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
                    for (int p = 0; p < panels; p++) {
                        sum[u][r][p] =
                            bf16_dot(sum[u][r][p], x[r] + (k + u) * INGOT_HALF_STEP, w + p * t->panel_stride);
                    }
                }
            }
        }
        if (parts > 1) {
            for (; k < t->steps; k++, w += INGOT_HALF_BLOCK) {
#pragma GCC unroll 10
                for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
                    for (int p = 0; p < panels; p++) {
                        sum[0][r][p] = bf16_dot(sum[0][r][p], x[r] + k * INGOT_HALF_STEP, w + p * t->panel_stride);
                    }
                }
            }
        }
    }
    float *to = t->sums + row * t->pitch + panel * INGOT_GEMM_NR;
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++, to += t->pitch) {
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) {
#pragma GCC unroll 4
            for (int u = 1; u < parts; u++) {
                sum[0][r][p] = bf16_add(sum[0][r][p], sum[u][r][p]);
            }
            bf16_store(to + p * INGOT_GEMM_NR, sum[0][r][p]);
        }
    }
}

#ifdef INGOT_HAVE_V8
/* A last panel of at most eight columns, of which half a register is done in half the time. */
INGOT_INLINE void bf16_half_block(const ingot_half_sums *t, int row, int64_t panel, const int rows) {
    v8 sum[BF16_ROWS];
    const uint16_t *w = t->weights + panel * t->panel_stride;
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++) {
        sum[r] = v8_set1(0.0f);
    }
    for (int64_t tap = 0; tap < t->taps; tap++) {
        const void *const *pointers = t->rows + tap * INGOT_GEMM_MR + row;
        const uint16_t *x[BF16_ROWS];
#pragma GCC unroll 10
        for (int r = 0; r < rows; r++) {
            x[r] = pointers[r < t->mr - row ? r : 0];
        }
        for (int64_t k = 0; k < t->steps; k++, w += INGOT_HALF_BLOCK) {
#pragma GCC unroll 10
            for (int r = 0; r < rows; r++) {
                sum[r] = bf16_dot_low(sum[r], x[r] + k * INGOT_HALF_STEP, w);
            }
        }
    }
    float *to = t->sums + row * t->pitch + panel * INGOT_GEMM_NR;
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++, to += t->pitch) {
        v16_store(to, v16_from_low(sum[r]));
    }
}
#endif

typedef void (*bf16_block_fn)(const ingot_half_sums *t, int row, int64_t panel);

#define BF16_BLOCK(rows, panels, parts)                                                                                \
    static void bf16_##rows##x##panels(const ingot_half_sums *t, int row, int64_t panel) {                             \
        bf16_block(t, row, panel, rows, panels, parts);                                                                \
    }
BF16_BLOCK(1, 1, 4)
BF16_BLOCK(2, 1, 4)
BF16_BLOCK(3, 1, 2)
BF16_BLOCK(5, 1, 2)
#if BF16_ROWS == 10
BF16_BLOCK(10, 1, 1)
BF16_BLOCK(1, 2, 4)
BF16_BLOCK(2, 2, 2)
BF16_BLOCK(3, 2, 2)
BF16_BLOCK(5, 2, 1)
BF16_BLOCK(8, 2, 1)
BF16_BLOCK(9, 2, 1)
BF16_BLOCK(10, 2, 1)
static const bf16_block_fn one_panel[] = {bf16_1x1,  bf16_2x1,  bf16_3x1,  bf16_5x1,  bf16_5x1,
                                          bf16_10x1, bf16_10x1, bf16_10x1, bf16_10x1, bf16_10x1};
static const bf16_block_fn two_panels[] = {bf16_1x2, bf16_2x2, bf16_3x2, bf16_5x2, bf16_5x2,
                                           bf16_8x2, bf16_8x2, bf16_8x2, bf16_9x2, bf16_10x2};
#else
static const bf16_block_fn one_panel[] = {bf16_1x1, bf16_2x1, bf16_3x1, bf16_5x1, bf16_5x1};
#endif

#ifdef INGOT_HAVE_V8
/* Fewer rows have too few sums to keep a processor busy with half registers. */
enum { HALF_ROWS = 6 };
static void bf16_half_8(const ingot_half_sums *t, int row, int64_t panel) { bf16_half_block(t, row, panel, 8); }
static void bf16_half_9(const ingot_half_sums *t, int row, int64_t panel) { bf16_half_block(t, row, panel, 9); }
static void bf16_half_10(const ingot_half_sums *t, int row, int64_t panel) { bf16_half_block(t, row, panel, 10); }
static const bf16_block_fn half_panel[] = {bf16_half_8, bf16_half_8, bf16_half_8, bf16_half_9, bf16_half_10};
#endif

static void bf16_dot_tile(const ingot_half_sums *t) {
    const int blocks = (t->mr + BF16_ROWS - 1) / BF16_ROWS;
    for (int block = 0, row = 0; block < blocks; block++) {
        const int rows = (t->mr - row) / (blocks - block);
        int64_t panel = 0, whole = t->panels;
#ifdef INGOT_HAVE_V8
        const int half = rows >= HALF_ROWS && t->last != 0 && t->last <= INGOT_GEMM_NR / 2;
        whole -= half;
#endif
#if BF16_PANELS == 2
        for (; panel + 2 <= whole; panel += 2) {
            two_panels[rows - 1](t, row, panel);
        }
#endif
        for (; panel < whole; panel++) {
            one_panel[rows - 1](t, row, panel);
        }
#ifdef INGOT_HAVE_V8
        if (half) {
            half_panel[rows - HALF_ROWS](t, row, panel);
        }
#endif
        row += rows;
    }
}

/* Adds bias and residual to the sums of all rows, clamps them, and applies the activation that bf16_activation.h has in
 * registers. They stay where they are, or become results of `out_dtype`; that and `activates` are constants where this
 * is inlined. */
INGOT_INLINE void bf16_finish_as(const ingot_half_finish *t, const uint8_t out_dtype, const int activates) {
    const v16 lo = v16_set1(t->lo), hi = v16_set1(t->hi);
    const int64_t mr = t->mr, columns = t->columns, first = t->column;
    const uint8_t residual_dtype = t->residual_dtype;
    void *const *const out = t->out;
    const void *const *const residual = t->residual;
    const ingot_activation activation = activates ? *t->activation : (ingot_activation){.kind = INGOT_ACT_NONE};
    for (int64_t j = 0; j < columns; j += INGOT_GEMM_NR) {
        const int64_t n = columns - j < INGOT_GEMM_NR ? columns - j : INGOT_GEMM_NR, at = first + j;
        const v16 bias = t->bias != NULL ? v16_load_n(t->bias + at, n) : v16_zero();
        float *sums = t->sums + j;
        for (int64_t r = 0; r < mr; r++, sums += INGOT_HALF_SUMS) {
            v16 v = v16_add(v16_load(sums), bias);
            if (residual != NULL) {
                v = v16_add(v, residual_dtype == INGOT_F32
                                   ? v16_load_n((const float *)residual[r] + at, n)
                                   : v16_widen_n(INGOT_BF16, (const uint16_t *)residual[r] + at, n));
            }
            v = activates ? bf16_activate(&activation, v) : v16_min(hi, v16_max(lo, v));
            if (out_dtype == INGOT_DTYPE_NONE) {
                v16_store(sums, v);
            } else if (out_dtype == INGOT_F32) {
                v16_store_n((float *)out[r] + at, v, n);
            } else {
                bf16_round_n((uint16_t *)out[r] + at, v, n);
            }
        }
    }
}

static void bf16_dot_finish(const ingot_half_finish *t) {
    if (t->activation == NULL && t->out_dtype == INGOT_F32) {
        bf16_finish_as(t, INGOT_F32, 0);
    } else if (t->activation == NULL) {
        bf16_finish_as(t, INGOT_BF16, 0);
    } else if (t->out_dtype == INGOT_BF16 && bf16_activates(t->activation)) {
        bf16_finish_as(t, INGOT_BF16, 1);
    } else {
        ingot_half_finish rest = *t;
        bf16_finish_as(t, INGOT_DTYPE_NONE, 0);
        for (int r = 0; r < t->mr; r++) {
            ingot_activate_f32(t->activation, t->sums + r * INGOT_HALF_SUMS, t->columns);
        }
        rest.bias = NULL;
        rest.residual = NULL;
        rest.activation = NULL;
        bf16_dot_finish(&rest);
    }
}

#define BF16_DOT_(isa) ingot_bf16_dot__##isa
#define BF16_DOT(isa) BF16_DOT_(isa)
const ingot_bf16_dot BF16_DOT(INGOT_ISA) = {.rows = bf16_dot_rows, .tile = bf16_dot_tile, .finish = bf16_dot_finish};
