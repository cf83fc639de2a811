/* Products of bfloat16 where the processor has them: of the weights as they are stored and left operands that are
 * rounded to it. Sums, states and activations are those of float32. */
#ifndef INGOT_RECURRENT_BF16_H
#define INGOT_RECURRENT_BF16_H

#include "gemm_half.h"
#include "recurrent/recurrent_shape.h"
#include "recurrent/recurrent_units.h"
#include "vec16_half.h"

/* Whether the including file drives kernels that have them. */
#if defined(INGOT_ISA_avx512) || defined(INGOT_ISA_avx512bf16)
#define RECURRENT_BF16 1
#else
#define RECURRENT_BF16 0
#endif

typedef struct recurrent_bf16 {
    const ingot_bf16_dot *dot;
    /* recurrent_units of words that are pairs */
    void (*units)(float *sums, const float *init, const float *x, int64_t n, const float *panels, int64_t apart,
                  int gates, const recurrent_slice *slice);
} recurrent_bf16;

/* recurrent_bf16_n16k2 with what an instruction set adds. */
int ingot_recurrent_bf16_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                             const recurrent_bf16 *bf16);

/* n numbers as bfloat16, with zeros up to a multiple of 16. */
static inline const float *recurrent_rounded(float *to, const float *from, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        v16_narrow(INGOT_BF16, (uint16_t *)(to + i / 2), v16_load_n(from + i, n - i < 16 ? n - i : 16));
    }
    return to;
}

/* The same as recurrent_half_product; rounded: [RECURRENT_BATCH][pitch]. */
static inline void recurrent_bf16_product(const ingot_bf16_dot *dot, float *rounded, int64_t pitch, float *const *out,
                                          const float *const *init, const float *const *x, int64_t rows, int64_t n,
                                          const uint16_t *weights, int64_t count) {
    _Alignas(64) float sums[INGOT_GEMM_MR * INGOT_HALF_SUMS];
    const void *operands[RECURRENT_BATCH];
    ingot_half_sums tile = {.rows = operands, .taps = 1, .steps = ingot_half_steps(n), .sums = sums};
    tile.pitch = INGOT_HALF_SUMS;
    tile.dtype = INGOT_BF16;
    tile.panel_stride = tile.steps * INGOT_HALF_BLOCK;
    for (int64_t row = 0; row < rows; row += tile.mr) {
        tile.mr = (int32_t)(rows - row < RECURRENT_BATCH ? rows - row : RECURRENT_BATCH);
        for (int m = 0; m < tile.mr; m++) {
            operands[m] = recurrent_rounded(rounded + m * pitch, x[row + m], n);
        }
        for (int64_t panel = 0; panel < count; panel += tile.panels) {
            tile.panels = count - panel < INGOT_HALF_MOST_PANELS ? count - panel : INGOT_HALF_MOST_PANELS;
            tile.weights = weights + panel * tile.panel_stride;
            dot->tile(&tile);
            for (int m = 0; m < tile.mr; m++) {
                for (int64_t j = 0; j < tile.panels * INGOT_GEMM_NR; j += INGOT_GEMM_NR) {
                    const int64_t at = panel * INGOT_GEMM_NR + j;
                    const v16 sum = v16_load(sums + m * INGOT_HALF_SUMS + j);
                    v16_store(out[row + m] + at, v16_add(v16_load(init[row + m] + at), sum));
                }
            }
        }
    }
}

#endif
