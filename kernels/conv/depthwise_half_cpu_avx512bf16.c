/* The tiles of depthwise_half_tile.h: rounding is one instruction here, elsewhere it takes longer than the memory. */
#include "bf16_activation.h"
#include "bf16_round.h"
#include "depthwise_half_tile.h"

void ingot_dw_row__avx512(const ingot_dw_row *row);

INGOT_INLINE void dw_half_tile(const ingot_dw_tile *t, const int stride) {
    enum { LINES = INGOT_DW_TILE_LINES, COLUMNS = INGOT_DW_TILE_COLUMNS, KERNEL = INGOT_DW_TILE_KERNEL };
    const int in_lines = (LINES - 1) * stride + KERNEL, in_columns = (COLUMNS - 1) * stride + KERNEL;
    const int64_t moved = t->moved;
    const v16 lo = v16_set1(t->lo), hi = v16_set1(t->hi);
    for (int64_t c = 0; c < t->channels; c += INGOT_DW_LANES) {
        const int64_t left = t->channels - c, n = left < INGOT_DW_LANES ? left : INGOT_DW_LANES;
        const float *weights = t->weights + c * KERNEL * KERNEL;
        const v16 bias = t->bias != NULL ? v16_load_n(t->bias + c, n) : v16_zero();
        v16 sum[LINES][COLUMNS];
#pragma GCC unroll 8
        for (int i = 0; i < LINES * COLUMNS; i++) {
            sum[i / COLUMNS][i % COLUMNS] = bias;
        }
#pragma GCC unroll 5
        for (int line = 0; line < in_lines; line++) {
            v16 x[2 * (COLUMNS - 1) + KERNEL];
#pragma GCC unroll 9
            for (int i = 0; i < in_columns; i++) {
                x[i] = v16_widen_n(INGOT_BF16, (const uint16_t *)t->in[line * in_columns + i] + (moved + c), n);
            }
#pragma GCC unroll 2
            for (int y = 0; y < LINES; y++) {
                const int ky = line - y * stride;
                if (ky < 0 || ky >= KERNEL) {
                    continue;
                }
#pragma GCC unroll 3
                for (int kx = 0; kx < KERNEL; kx++) {
                    const v16 weight = v16_load(weights + (ky * KERNEL + kx) * INGOT_DW_LANES);
#pragma GCC unroll 4
                    for (int i = 0; i < COLUMNS; i++) {
                        sum[y][i] = v16_fma(x[i * stride + kx], weight, sum[y][i]);
                    }
                }
            }
        }
        v16 results[LINES * COLUMNS];
#pragma GCC unroll 8
        for (int i = 0; i < LINES * COLUMNS; i++) {
            v16 y = sum[i / COLUMNS][i % COLUMNS];
            if (t->residual != NULL) {
                y = v16_add(y, v16_widen_n(INGOT_BF16, (const uint16_t *)t->residual[i] + c, n));
            }
            results[i] = v16_min(hi, v16_max(lo, y));
            if (t->activation == NULL) {
                bf16_round_n((uint16_t *)t->out[i] + c, results[i], n);
            }
        }
        if (t->activation == NULL) {
            continue;
        }
#pragma GCC unroll 1
        for (int i = 0; i < LINES * COLUMNS; i++) {
            const v16 y = bf16_activate(t->activation, results[i]);
            bf16_round_n((uint16_t *)t->out[i] + c, y, n);
        }
    }
}

static void dw_half_tile_1(const ingot_dw_tile *t) { dw_half_tile(t, 1); }
static void dw_half_tile_2(const ingot_dw_tile *t) { dw_half_tile(t, 2); }

static const ingot_dw_half_tiles tiles = {{dw_half_tile_1, dw_half_tile_2}, bf16_activates};

INGOT_KERNEL_FN(conv_bf16_dw) {
    return ingot_conv_half_dw_run(call, begin, end, scratch, &ingot_half__avx512, ingot_dw_row__avx512, &tiles);
}
