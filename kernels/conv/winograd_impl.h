/* The transforms of winograd.h for one instruction set, a register of channels at a time, and its kernel. */
#include "vec16.h"
#include "winograd.h"

#define POINT_A INGOT_WINOGRAD_A
#define POINT_B INGOT_WINOGRAD_B
#define A2 (POINT_A * POINT_A)
#define B2 (POINT_B * POINT_B)

enum { WINOGRAD_SIDE = INGOT_WINOGRAD_MOST + 2 };

INGOT_INLINE vreg times(float by, vreg x) { return vreg_mul(vreg_set1(by), x); }

/* by * x + y */
INGOT_INLINE vreg times_add(float by, vreg x, vreg y) { return vreg_fma(vreg_set1(by), x, y); }

/* One column of B' d. */
INGOT_INLINE void input_line(const int m, const vreg *d, vreg *to) {
    if (m == 2) {
        to[0] = vreg_sub(d[0], d[2]);
        to[1] = vreg_add(d[1], d[2]);
        to[2] = vreg_sub(d[2], d[1]);
        to[3] = vreg_sub(d[3], d[1]);
        return;
    }
    to[0] = times_add(A2 * B2, d[0], times_add(-(A2 + B2), d[2], d[4]));
    const vreg even_a = times_add(-B2, d[2], d[4]), odd_a = times_add(-B2, d[1], d[3]);
    to[1] = times_add(POINT_A, odd_a, even_a);
    to[2] = times_add(-POINT_A, odd_a, even_a);
    const vreg even_b = times_add(-A2, d[2], d[4]), odd_b = times_add(-A2, d[1], d[3]);
    to[3] = times_add(POINT_B, odd_b, even_b);
    to[4] = times_add(-POINT_B, odd_b, even_b);
    to[5] = times_add(A2 * B2, d[1], times_add(-(A2 + B2), d[3], d[5]));
}

/* One column of A' p. */
INGOT_INLINE void output_line(const int m, const vreg *p, vreg *to) {
    const vreg even_a = vreg_add(p[1], p[2]), odd_a = vreg_sub(p[1], p[2]);
    if (m == 2) {
        to[0] = vreg_add(p[0], even_a);
        to[1] = vreg_add(odd_a, p[3]);
        return;
    }
    const vreg even_b = vreg_add(p[3], p[4]), odd_b = vreg_sub(p[3], p[4]);
    to[0] = vreg_add(vreg_add(p[0], even_a), even_b);
    to[1] = times_add(POINT_B, odd_b, times(POINT_A, odd_a));
    to[2] = times_add(B2, even_b, times(A2, even_a));
    to[3] = vreg_add(times_add(POINT_B * B2, odd_b, times(POINT_A * A2, odd_a)), p[5]);
}

INGOT_INLINE void input_tile(const int m, const float *const *pixels, int64_t channels, float *to, int64_t stride) {
    const int n = m + 2;
    for (int64_t c = 0; c < channels; c += VREG_LANES) {
        vreg columns[WINOGRAD_SIDE][WINOGRAD_SIDE], line[WINOGRAD_SIDE], done[WINOGRAD_SIDE];
        INGOT_UNROLL(6)
        for (int x = 0; x < n; x++) {
            INGOT_UNROLL(6)
            for (int y = 0; y < n; y++) {
                line[y] = vreg_load(pixels[y * n + x] + c);
            }
            input_line(m, line, columns[x]);
        }
        INGOT_UNROLL(6)
        for (int y = 0; y < n; y++) {
            INGOT_UNROLL(6)
            for (int x = 0; x < n; x++) {
                line[x] = columns[x][y];
            }
            input_line(m, line, done);
            INGOT_UNROLL(6)
            for (int x = 0; x < n; x++) {
                vreg_store(to + (y * n + x) * stride + c, done[x]);
            }
        }
    }
}

INGOT_INLINE void output_tile(const int m, const ingot_winograd_output *t) {
    const int n = m + 2;
    const vreg lo = vreg_set1(t->lo), hi = vreg_set1(t->hi);
    for (int64_t c = 0; c < t->columns; c += VREG_LANES) {
        vreg columns[WINOGRAD_SIDE][INGOT_WINOGRAD_MOST], line[WINOGRAD_SIDE], done[INGOT_WINOGRAD_MOST];
        const vreg bias = t->bias != NULL ? vreg_load(t->bias + c) : vreg_set1(0.0f);
        INGOT_UNROLL(6)
        for (int x = 0; x < n; x++) {
            INGOT_UNROLL(6)
            for (int y = 0; y < n; y++) {
                line[y] = vreg_load(t->from + (y * n + x) * t->stride + c);
            }
            output_line(m, line, columns[x]);
        }
        INGOT_UNROLL(4)
        for (int y = 0; y < m; y++) {
            INGOT_UNROLL(6)
            for (int x = 0; x < n; x++) {
                line[x] = columns[x][y];
            }
            output_line(m, line, done);
            INGOT_UNROLL(4)
            for (int x = 0; x < m; x++) {
                vreg sum = vreg_add(done[x], bias);
                if (t->residual != NULL) {
                    sum = vreg_add(sum, vreg_load(t->residual[y * m + x] + c));
                }
                vreg_store(t->out[y * m + x] + c, vreg_min(hi, vreg_max(lo, sum)));
            }
        }
    }
}

#define WINOGRAD_TRANSFORMS(m)                                                                                         \
    static void input_##m(const float *const *pixels, int64_t channels, float *to, int64_t stride) {                   \
        input_tile(m, pixels, channels, to, stride);                                                                   \
    }                                                                                                                  \
    static void output_##m(const ingot_winograd_output *t) { output_tile(m, t); }
WINOGRAD_TRANSFORMS(2)
WINOGRAD_TRANSFORMS(4)

const ingot_winograd_isa INGOT_PASTE(ingot_, winograd, INGOT_ISA) = {
    .gemm = &INGOT_PASTE(ingot_, gemm_f32, INGOT_ISA),
    .input = {input_2, input_4},
    .output = {output_2, output_4},
};

INGOT_KERNEL_FN(conv_f32_winograd) {
    return ingot_conv_winograd_run(call, begin, end, scratch, &INGOT_PASTE(ingot_, winograd, INGOT_ISA));
}
