/* Rows times panels of weights stored in half, see gemm_half.h. */
#ifndef INGOT_RECURRENT_HALF_H
#define INGOT_RECURRENT_HALF_H

#include "gemm_half.h"
#include "vec16.h"

/* out[m][v * 16 ...] = init[m][v * 16 ...] + sum over k of x[m][k] * panels[v][k][...] */
static void recurrent_half_product(uint8_t dtype, float *const *out, const float *const *init, const float *const *x,
                                   int64_t rows, int64_t n, const uint16_t *weights, int64_t count) {
    const ingot_half_isa *isa = &INGOT_PASTE(ingot_, half, INGOT_ISA);
    const int odd = n % INGOT_HALF_STEP != 0; /* the last product has half a step: nothing lies behind it in x */
    float last[INGOT_HALF_BLOCK];
    float sums[INGOT_HALF_FEW * INGOT_HALF_SUMS];
    const void *few[INGOT_HALF_FEW];
    ingot_half_sums tile = {.rows = few, .taps = 1, .steps = n / INGOT_HALF_STEP, .sums = sums};
    tile.pitch = INGOT_HALF_SUMS;
    tile.dtype = dtype;
    tile.panel_stride = ingot_half_steps(n) * INGOT_HALF_BLOCK;
    for (int64_t row = 0; row < rows; row += tile.mr) {
        tile.mr = (int32_t)(rows - row < INGOT_HALF_FEW ? rows - row : INGOT_HALF_FEW);
        for (int m = 0; m < tile.mr; m++) {
            few[m] = x[row + m];
        }
        for (int64_t panel = 0; panel < count; panel += tile.panels) {
            tile.panels = count - panel < INGOT_HALF_MOST_PANELS ? count - panel : INGOT_HALF_MOST_PANELS;
            tile.weights = weights + panel * tile.panel_stride;
            isa->few(&tile);
            for (int64_t p = 0; p < tile.panels; p++) {
                const int64_t j = p * INGOT_GEMM_NR;
                if (odd) {
                    isa->weights(dtype, tile.weights + p * tile.panel_stride + tile.steps * INGOT_HALF_BLOCK, 1, last);
                }
                for (int m = 0; m < tile.mr; m++) {
                    v16 v = v16_load(sums + m * INGOT_HALF_SUMS + j);
                    if (odd) {
                        v = v16_fma(v16_set1(x[row + m][n - 1]), v16_load(last), v);
                    }
                    v = v16_add(v16_load(init[row + m] + panel * INGOT_GEMM_NR + j), v);
                    v16_store(out[row + m] + panel * INGOT_GEMM_NR + j, v);
                }
            }
        }
    }
}

#endif
