/* The micro-kernel of gemm_f32.h for the instruction set of the including file, which defines
 *   GEMM_ROWS        rows of a register tile (the accumulators of GEMM_ROWS x GEMM_PANELS panels stay in registers)
 *   GEMM_PANELS      panels of a register tile
 *   GEMM_ROW_PANELS  panels of a register tile of one row
 *   GEMM_UNROLL_1, _2, _3  accumulators a result for tiles of that many rows and one panel
 *   GEMM_MASKS       where part of a register is stored as fast as all of it */
#include "gemm_f32.h"
#include "vec16.h"

typedef void (*gemm_tile_fn)(const ingot_gemm_f32 *t, int row, int64_t panel);

/* Where a tile puts columns of a panel: at their place in the row, or, before an activation, in a buffer. */
INGOT_INLINE float *gemm_out(const ingot_gemm_f32 *t, int64_t row, int64_t panel) {
    return t->out[row] + (t->activation == NULL ? t->column : 0) + panel * INGOT_GEMM_NR;
}

INGOT_INLINE v16 gemm_clamp(const ingot_gemm_f32 *t, v16 sum) {
    return v16_min(v16_set1(t->hi), v16_max(v16_set1(t->lo), sum));
}

/* Adds the residual, clamps and stores the sums of one row of a whole panel. */
INGOT_INLINE void gemm_finish(const ingot_gemm_f32 *t, v16 sum, int64_t row, int64_t panel) {
    if (t->residual != NULL) {
        sum = v16_add(sum, v16_load(t->residual[row] + t->column + panel * INGOT_GEMM_NR));
    }
    v16_store(gemm_out(t, row, panel), gemm_clamp(t, sum));
}

/* The same for the last panel, not whole; out of line, so that it does not double the code of every tile. */
static __attribute__((noinline)) void gemm_finish_part(const ingot_gemm_f32 *t, const float *sums, int row, int rows,
                                                       int64_t panel) {
    const int64_t count = t->columns - panel * INGOT_GEMM_NR;
    for (int r = row; r < row + rows; r++, sums += INGOT_GEMM_NR) {
        v16 sum = v16_load(sums);
        if (t->residual != NULL) {
            sum = v16_add(sum, v16_load_n(t->residual[r] + t->column + panel * INGOT_GEMM_NR, count));
        }
        v16_store_n(gemm_out(t, r, panel), gemm_clamp(t, sum), count);
    }
}

INGOT_INLINE v16 gemm_bias(const ingot_gemm_f32 *t, int64_t panel) {
    int64_t first = panel * INGOT_GEMM_NR;
    int64_t count = t->columns - first;
    if (t->bias == NULL) {
        return v16_zero();
    }
    return count >= INGOT_GEMM_NR ? v16_load(t->bias + t->column + first)
                                  : v16_load_n(t->bias + t->column + first, count);
}

/* A register tile of `rows` x `panels`; both are constants wherever this is inlined. `unroll` accumulators a result
 * hide the latency of the multiply-add where a tile is too small to do so; they are added in a fixed order. */
INGOT_INLINE void gemm_block(const ingot_gemm_f32 *t, int row, int64_t panel, const int rows, const int panels,
                             const int unroll) {
    v16 sum[8][GEMM_ROWS][4];
    const int64_t stride = t->panel_stride;
    const float *b = t->weights + panel * stride;
    const int64_t length = t->length;
    const int whole = panels == 4; /* those are few long sums: nothing is asked about each panel */
#pragma GCC unroll 8
    for (int u = 0; u < unroll; u++) {
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) {
            v16 start = v16_zero();
            if (u == 0 && whole && t->bias != NULL) {
                start = v16_load(t->bias + t->column + (panel + p) * INGOT_GEMM_NR);
            } else if (u == 0 && !whole) {
                start = gemm_bias(t, panel + p);
            }
#pragma GCC unroll 10
            for (int r = 0; r < rows; r++) {
                sum[u][r][p] = start;
            }
        }
    }
    for (int64_t tap = 0; tap < t->taps; tap++) {
        const void *const *pointers = t->rows + tap * INGOT_GEMM_MR + row;
        const float *a[GEMM_ROWS];
#pragma GCC unroll 10
        for (int r = 0; r < rows; r++) {
            a[r] = pointers[r];
        }
        int64_t k = 0;
        for (; k + unroll <= length; k += unroll) {
#pragma GCC unroll 8
            for (int u = 0; u < unroll; u++) {
                v16 weight[4];
#pragma GCC unroll 4
                for (int p = 0; p < panels; p++) {
                    weight[p] = v16_load(b + p * stride);
                }
#pragma GCC unroll 10
                for (int r = 0; r < rows; r++) {
                    v16 x = v16_set1(a[r][k + u]);
#pragma GCC unroll 4
                    for (int p = 0; p < panels; p++) {
                        sum[u][r][p] = v16_fma(x, weight[p], sum[u][r][p]);
                    }
                }
                b += INGOT_GEMM_NR;
            }
        }
        if (unroll > 1) {
            for (; k < length; k++) {
#pragma GCC unroll 10
                for (int r = 0; r < rows; r++) {
                    v16 x = v16_set1(a[r][k]);
#pragma GCC unroll 4
                    for (int p = 0; p < panels; p++) {
                        sum[0][r][p] = v16_fma(x, v16_load(b + p * stride), sum[0][r][p]);
                    }
                }
                b += INGOT_GEMM_NR;
            }
        }
    }
#pragma GCC unroll 8
    for (int u = 1; u < unroll; u++) {
#pragma GCC unroll 10
        for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
            for (int p = 0; p < panels; p++) {
                sum[0][r][p] = v16_add(sum[0][r][p], sum[u][r][p]);
            }
        }
    }
#pragma GCC unroll 4
    for (int p = 0; p < panels; p++) {
        if (whole || t->columns >= (panel + p + 1) * INGOT_GEMM_NR) {
#pragma GCC unroll 10
            for (int r = 0; r < rows; r++) {
                gemm_finish(t, sum[0][r][p], row + r, panel + p);
            }
        } else {
            float part[GEMM_ROWS * INGOT_GEMM_NR];
#pragma GCC unroll 10
            for (int r = 0; r < rows; r++) {
                v16_store(part + r * INGOT_GEMM_NR, sum[0][r][p]);
            }
            gemm_finish_part(t, part, row, rows, panel + p);
        }
    }
}

#ifdef INGOT_HAVE_V8
/* A last panel of at most eight columns. */
INGOT_INLINE void gemm_half_block(const ingot_gemm_f32 *t, int row, int64_t panel, const int rows) {
    v8 sum[GEMM_ROWS];
    const float *b = t->weights + panel * t->panel_stride;
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++) {
        sum[r] = v8_low(gemm_bias(t, panel));
    }
    for (int64_t tap = 0; tap < t->taps; tap++) {
        const void *const *pointers = t->rows + tap * INGOT_GEMM_MR + row;
        const float *a[GEMM_ROWS];
#pragma GCC unroll 10
        for (int r = 0; r < rows; r++) {
            a[r] = pointers[r];
        }
        for (int64_t k = 0; k < t->length; k++, b += INGOT_GEMM_NR) {
            const v8 weight = v8_load(b);
#pragma GCC unroll 10
            for (int r = 0; r < rows; r++) {
                sum[r] = v8_fma(v8_set1(a[r][k]), weight, sum[r]);
            }
        }
    }
#ifdef GEMM_MASKS
    if (t->residual == NULL) {
        const int64_t first = panel * INGOT_GEMM_NR, at = (t->activation == NULL ? t->column : 0) + first;
        const v16 lo = v16_set1(t->lo), hi = v16_set1(t->hi);
        float *const *out = t->out + row;
#pragma GCC unroll 10
        for (int r = 0; r < rows; r++) {
            v16_store_n(out[r] + at, v16_min(hi, v16_max(lo, v16_from_low(sum[r]))), t->columns - first);
        }
        return;
    }
#endif
    float part[GEMM_ROWS * INGOT_GEMM_NR];
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++) {
        v16_store(part + r * INGOT_GEMM_NR, v16_from_low(sum[r]));
    }
    gemm_finish_part(t, part, row, rows, panel);
}

#define GEMM_HALF(rows)                                                                                                \
    static void gemm_half_##rows(const ingot_gemm_f32 *t, int row, int64_t panel) {                                    \
        gemm_half_block(t, row, panel, rows);                                                                          \
    }
GEMM_HALF(4)
GEMM_HALF(5)
#if GEMM_ROWS == 10
GEMM_HALF(6)
GEMM_HALF(7)
GEMM_HALF(8)
GEMM_HALF(9)
GEMM_HALF(10)
#endif
#endif

#define GEMM_BLOCK(rows, panels, unroll)                                                                               \
    static void gemm_##rows##x##panels(const ingot_gemm_f32 *t, int row, int64_t panel) {                              \
        gemm_block(t, row, panel, rows, panels, unroll);                                                               \
    }

GEMM_BLOCK(1, 1, GEMM_UNROLL_1)
GEMM_BLOCK(2, 1, GEMM_UNROLL_2)
GEMM_BLOCK(3, 1, GEMM_UNROLL_3)
GEMM_BLOCK(4, 1, 1)
GEMM_BLOCK(5, 1, 1)
#if GEMM_ROWS == 10
GEMM_BLOCK(6, 1, 1)
GEMM_BLOCK(7, 1, 1)
GEMM_BLOCK(8, 1, 1)
GEMM_BLOCK(9, 1, 1)
GEMM_BLOCK(10, 1, 1)
#endif
#if GEMM_PANELS == 2
GEMM_BLOCK(2, 2, 2)
GEMM_BLOCK(3, 2, 1)
GEMM_BLOCK(4, 2, 1)
GEMM_BLOCK(5, 2, 1)
GEMM_BLOCK(6, 2, 1)
GEMM_BLOCK(7, 2, 1)
GEMM_BLOCK(8, 2, 1)
GEMM_BLOCK(9, 2, 1)
GEMM_BLOCK(10, 2, 1)
#endif
#if GEMM_ROW_PANELS == 4
GEMM_BLOCK(1, 2, 4)
GEMM_BLOCK(1, 4, 2)
#endif

#if GEMM_ROWS == 10
static const gemm_tile_fn one_panel[] = {gemm_1x1, gemm_2x1, gemm_3x1, gemm_4x1, gemm_5x1,
                                         gemm_6x1, gemm_7x1, gemm_8x1, gemm_9x1, gemm_10x1};
#else
static const gemm_tile_fn one_panel[] = {gemm_1x1, gemm_2x1, gemm_3x1, gemm_4x1, gemm_5x1};
#endif
#if GEMM_PANELS == 2
static const gemm_tile_fn two_panels[] = {gemm_1x2, gemm_2x2, gemm_3x2, gemm_4x2, gemm_5x2,
                                          gemm_6x2, gemm_7x2, gemm_8x2, gemm_9x2, gemm_10x2};
#endif

#ifdef INGOT_HAVE_V8
/* Fewer rows have too few sums to keep a processor busy with half registers. */
enum { HALF_ROWS = 4 };
#if GEMM_ROWS == 10
static const gemm_tile_fn half_panel[] = {gemm_half_4, gemm_half_5, gemm_half_6, gemm_half_7,
                                          gemm_half_8, gemm_half_9, gemm_half_10};
#else
static const gemm_tile_fn half_panel[] = {gemm_half_4, gemm_half_5};
#endif
#endif

static void gemm_blocks(const ingot_gemm_f32 *t) {
    const int64_t panels = (t->columns + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR;
    const int blocks = (t->mr + GEMM_ROWS - 1) / GEMM_ROWS;
    int row = 0;
    for (int block = 0; block < blocks; block++) {
        const int rows = blocks == 1 ? t->mr : (t->mr - row) / (blocks - block);
        int64_t panel = 0, whole = panels;
#ifdef INGOT_HAVE_V8
        const int half = rows >= HALF_ROWS && t->columns - (panels - 1) * INGOT_GEMM_NR <= INGOT_GEMM_NR / 2;
        whole -= half;
#endif
#if GEMM_ROW_PANELS == 4
        if (rows == 1) {
            for (; panel + 4 <= t->columns / INGOT_GEMM_NR; panel += 4) {
                gemm_1x4(t, row, panel);
            }
        }
#endif
#if GEMM_PANELS == 2
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

enum { BUFFER = INGOT_GEMM_MR * INGOT_GEMM_GROUP * INGOT_GEMM_NR };

/* An activation that is more than a clamp: results are first written row by row into a buffer, so that the activation
 * has one long loop and not one for each row. */
static void gemm_activated(const ingot_gemm_f32 *t) {
    float buffer[BUFFER];
    float *rows[INGOT_GEMM_MR];
    ingot_gemm_f32 plain = *t;
    plain.out = rows;
    for (int r = 0; r < t->mr; r++) {
        rows[r] = buffer + r * t->columns;
    }
    gemm_blocks(&plain);
    const int swish = t->activation->kind == INGOT_ACT_HARD_SWISH; /* is short enough for the way out */
    if (!swish) {
        ingot_activate_f32(t->activation, buffer, t->mr * t->columns);
    }
    for (int r = 0; r < t->mr; r++) {
        float *out = t->out[r] + t->column;
        for (int64_t c = 0; c < t->columns; c += INGOT_GEMM_NR) {
            const int64_t left = t->columns - c;
            const v16 x = left >= INGOT_GEMM_NR ? v16_load(rows[r] + c) : v16_load_n(rows[r] + c, left);
            const v16 y = swish ? v16_hard_swish(x) : x;
            if (left >= INGOT_GEMM_NR) {
                v16_store(out + c, y);
            } else {
                v16_store_n(out + c, y, left);
            }
        }
    }
}

static void gemm_tile(const ingot_gemm_f32 *t) {
    if (t->activation == NULL) {
        gemm_blocks(t);
        return;
    }
    ingot_gemm_f32 part = *t;
    if (t->mr == 1) { /* is one loop where it lies */
        part.activation = NULL;
        gemm_blocks(&part);
        ingot_activate_f32(t->activation, t->out[0] + t->column, t->columns);
        return;
    }
    const int64_t panels = BUFFER / INGOT_GEMM_NR / t->mr, end = t->column + t->columns;
    for (; part.column < end; part.column += panels * INGOT_GEMM_NR, part.weights += panels * t->panel_stride) {
        const int64_t left = end - part.column;
        part.columns = left < panels * INGOT_GEMM_NR ? left : panels * INGOT_GEMM_NR;
        gemm_activated(&part);
    }
}

/* `panels` x 16 columns, the last `count` of which are in the last panel. */
INGOT_INLINE void row_block(const ingot_row_f32 *t, int64_t column, int64_t count, const int panels) {
    v16 sum[2][4];
#pragma GCC unroll 4
    for (int p = 0; p < panels; p++) {
        sum[0][p] = sum[1][p] = v16_zero();
    }
    const float *b = t->matrix + column;
    const int last = panels - 1;
    for (int64_t k = 0; k < t->length; k += 2) {
#pragma GCC unroll 2
        for (int u = 0; u < 2; u++) {
            if (k + u >= t->length) {
                break;
            }
            v16 x = v16_set1(t->row[k + u]);
#pragma GCC unroll 4
            for (int p = 0; p < last; p++) {
                sum[u][p] = v16_fma(x, v16_load(b + p * INGOT_GEMM_NR), sum[u][p]);
            }
            const float *end = b + last * INGOT_GEMM_NR;
            v16 tail = count == INGOT_GEMM_NR ? v16_load(end) : v16_load_n(end, count);
            sum[u][last] = v16_fma(x, tail, sum[u][last]);
            b += t->pitch;
        }
    }
#pragma GCC unroll 4
    for (int p = 0; p < last; p++) {
        v16_store(t->out + column + p * INGOT_GEMM_NR, v16_add(sum[0][p], sum[1][p]));
    }
    v16_store_n(t->out + column + last * INGOT_GEMM_NR, v16_add(sum[0][last], sum[1][last]), count);
}

static void row_times_matrix(const ingot_row_f32 *t) {
    int64_t column = 0;
    for (; column + 4 * INGOT_GEMM_NR <= t->columns; column += 4 * INGOT_GEMM_NR) {
        row_block(t, column, INGOT_GEMM_NR, 4);
    }
    for (; column < t->columns; column += INGOT_GEMM_NR) {
        int64_t left = t->columns - column;
        row_block(t, column, left < INGOT_GEMM_NR ? left : INGOT_GEMM_NR, 1);
    }
}

/* Inner products with `count` consecutive rows of the matrix. */
INGOT_INLINE void dot_block(const ingot_row_f32 *t, int64_t column, const int count) {
    v16 sum[4];
    const float *b = t->matrix + column * t->pitch;
#pragma GCC unroll 4
    for (int c = 0; c < count; c++) {
        sum[c] = v16_zero();
    }
    int64_t k = 0;
    for (; k + INGOT_GEMM_NR <= t->length; k += INGOT_GEMM_NR) {
        v16 x = v16_load(t->row + k);
#pragma GCC unroll 4
        for (int c = 0; c < count; c++) {
            sum[c] = v16_fma(x, v16_load(b + c * t->pitch + k), sum[c]);
        }
    }
    if (k < t->length) {
        v16 x = v16_load_n(t->row + k, t->length - k);
#pragma GCC unroll 4
        for (int c = 0; c < count; c++) {
            sum[c] = v16_fma(x, v16_load_n(b + c * t->pitch + k, t->length - k), sum[c]);
        }
    }
#pragma GCC unroll 4
    for (int c = 0; c < count; c++) {
        t->out[column + c] = v16_sum(sum[c]);
    }
}

static void row_times_transposed(const ingot_row_f32 *t) {
    int64_t column = 0;
    for (; column + 4 <= t->columns; column += 4) {
        dot_block(t, column, 4);
    }
    for (; column < t->columns; column++) {
        dot_block(t, column, 1);
    }
}

#define GEMM_ISA_(isa) ingot_gemm_f32__##isa
#define GEMM_ISA(isa) GEMM_ISA_(isa)
const ingot_gemm_f32_isa GEMM_ISA(INGOT_ISA) = {gemm_tile, row_times_matrix, row_times_transposed, ingot_activate_f32};
