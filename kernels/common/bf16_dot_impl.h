/* Tiles of bfloat16 for an instruction set that multiplies it: sums of pairs of products in float32. The including file
 * defines
 *   BF16_ROWS       rows of a register tile, 5 or 10
 *   BF16_PANELS     panels of a register tile
 *   bf16_sums       sixteen sums, with bf16_zero, bf16_add, bf16_store, and bf16_dot(sums, pair of x, weights of a
 * step) */
#include "gemm_half.h"
#include "vec16_half.h"

/* Takes runs over as they are; rounds those of float32, not by an instruction that takes subnormal numbers for zeros.
 */
static void bf16_dot_rows(const ingot_half_rows *t) {
    for (int r = 0; r < t->mr; r++) {
        uint16_t *to = (uint16_t *)t->to + r * t->pitch, *const end = to + t->pitch;
        for (int64_t tap = 0; tap < t->taps; tap++, to += t->length) {
            const void *run = t->rows[tap * INGOT_GEMM_MR + r];
            if (t->from == INGOT_BF16) {
                memcpy(to, run, (size_t)t->length * sizeof *to);
                continue;
            }
            int64_t i = 0;
            for (; i + 16 <= t->length; i += 16) {
                v16_narrow(INGOT_BF16, to + i, v16_load((const float *)run + i));
            }
            if (i < t->length) {
                const int64_t n = t->length - i;
                v16_narrow_n(INGOT_BF16, to + i, v16_load_n((const float *)run + i, n), n);
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
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) {
#pragma GCC unroll 4
            for (int u = 1; u < parts; u++) {
                sum[0][r][p] = bf16_add(sum[0][r][p], sum[u][r][p]);
            }
            bf16_store(t->sums + (row + r) * t->pitch + (panel + p) * INGOT_GEMM_NR, sum[0][r][p]);
        }
    }
}

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

static void bf16_dot_tile(const ingot_half_sums *t) {
    const int blocks = (t->mr + BF16_ROWS - 1) / BF16_ROWS;
    for (int block = 0, row = 0; block < blocks; block++) {
        const int rows = (t->mr - row) / (blocks - block);
        int64_t panel = 0;
#if BF16_PANELS == 2
        for (; panel + 2 <= t->panels; panel += 2) {
            two_panels[rows - 1](t, row, panel);
        }
#endif
        for (; panel < t->panels; panel++) {
            one_panel[rows - 1](t, row, panel);
        }
        row += rows;
    }
}

#define BF16_DOT_(isa) ingot_bf16_dot__##isa
#define BF16_DOT(isa) BF16_DOT_(isa)
const ingot_bf16_dot BF16_DOT(INGOT_ISA) = {.rows = bf16_dot_rows, .tile = bf16_dot_tile};
