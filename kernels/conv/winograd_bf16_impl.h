/* The transforms of winograd_half.h for an instruction set that multiplies bfloat16. */
#include "bf16_round.h"
#include "winograd_half.h"

INGOT_INLINE v16 winograd_minus(v16 a, v16 b) { return v16_fma(v16_set1(-1.0f), b, a); }

/* One column of B' d. */
INGOT_INLINE void winograd_input_line(v16 d0, v16 d1, v16 d2, v16 d3, v16 *to) {
    to[0] = winograd_minus(d0, d2);
    to[1] = v16_add(d1, d2);
    to[2] = winograd_minus(d2, d1);
    to[3] = winograd_minus(d3, d1);
}

static void winograd_input(const uint16_t *const *pixels, int64_t channels, uint16_t *to, int64_t stride) {
    for (int64_t c = 0; c < channels; c += INGOT_GEMM_NR) {
        const int64_t left = channels - c, count = left < INGOT_GEMM_NR ? left : INGOT_GEMM_NR;
        v16 columns[4][4], line[4];
#pragma GCC unroll 4
        for (int x = 0; x < 4; x++) {
#pragma GCC unroll 4
            for (int y = 0; y < 4; y++) {
                line[y] = v16_widen_n(INGOT_BF16, pixels[y * 4 + x] + c, count);
            }
            winograd_input_line(line[0], line[1], line[2], line[3], columns[x]);
        }
#pragma GCC unroll 4
        for (int y = 0; y < 4; y++) {
            winograd_input_line(columns[0][y], columns[1][y], columns[2][y], columns[3][y], line);
#pragma GCC unroll 4
            for (int x = 0; x < 4; x++) {
                bf16_round(to + (y * 4 + x) * stride + c, line[x]);
            }
        }
    }
}

/* One column of A' p. */
INGOT_INLINE void winograd_output_line(v16 p0, v16 p1, v16 p2, v16 p3, v16 *to) {
    to[0] = v16_add(p0, v16_add(p1, p2));
    to[1] = v16_add(winograd_minus(p1, p2), p3);
}

static void winograd_output(const ingot_winograd_half_output *t) {
    const v16 lo = v16_set1(t->lo), hi = v16_set1(t->hi);
    for (int64_t c = 0; c < t->columns; c += INGOT_GEMM_NR) {
        const int64_t left = t->columns - c, count = left < INGOT_GEMM_NR ? left : INGOT_GEMM_NR;
        const v16 bias = t->bias != NULL ? v16_load_n(t->bias + c, count) : v16_zero();
        v16 columns[4][2], line[4], done[2];
#pragma GCC unroll 4
        for (int x = 0; x < 4; x++) {
#pragma GCC unroll 4
            for (int y = 0; y < 4; y++) {
                line[y] = v16_load(t->from + (y * 4 + x) * t->stride + c);
            }
            winograd_output_line(line[0], line[1], line[2], line[3], columns[x]);
        }
#pragma GCC unroll 2
        for (int y = 0; y < 2; y++) {
            winograd_output_line(columns[0][y], columns[1][y], columns[2][y], columns[3][y], done);
#pragma GCC unroll 2
            for (int x = 0; x < 2; x++) {
                v16 sum = v16_add(done[x], bias);
                if (t->residual != NULL) {
                    sum = v16_add(sum, v16_widen_n(INGOT_BF16, t->residual[y * 2 + x] + c, count));
                }
                bf16_round_n(t->out[y * 2 + x] + c, v16_min(hi, v16_max(lo, sum)), count);
            }
        }
    }
}

static const ingot_winograd_bf16 winograd_bf16 = {
    .dot = &INGOT_PASTE(ingot_, bf16_dot, INGOT_ISA),
    .input = winograd_input,
    .output = winograd_output,
};
