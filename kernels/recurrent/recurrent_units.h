/* A recurrent step of one row by units: all gates of 16 units at a time, so that their activations are computed while
 * the weights of the next are on their way.
 *
 * Weights come from the cache no faster than every second multiply-add, so where there are registers for it the product
 * with x for later steps, whose operands are near, is made in between: slices of a panel by UNIT_ROWS steps. */
#ifndef INGOT_RECURRENT_UNITS_H
#define INGOT_RECURRENT_UNITS_H

#include "vec16.h"

/* A word is a float, or a pair of bfloat16 where this is compiled for products of those. */
INGOT_INLINE v16 recurrent_fma(v16 x, v16 w, v16 sum) {
#ifdef __AVX512BF16__
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
#else
    return v16_fma(x, w, sum);
#endif
}

/* Whether there are steps by units: small matters more in portable kernels; sums a gate, to hide the latency of the
 * multiply-add; steps of a slice, 0 where there are none. */
#if defined(__AVX512F__)
enum { BY_UNITS = 1, UNIT_SUMS = 2, UNIT_ROWS = 8 };
#elif !defined(INGOT_ISA_portable)
enum { BY_UNITS = 1, UNIT_SUMS = 1, UNIT_ROWS = 0 };
#else
enum { BY_UNITS = 0, UNIT_SUMS = 1, UNIT_ROWS = 0 };
#endif

/* out[m * pitch ...] = init[...] + sum over k of x[k][m] * panel[k][...], for UNIT_ROWS rows m; k are words. */
typedef struct recurrent_slice {
    float *out;
    const float *init, *x, *panel;
    int64_t pitch, count; /* of k; 0: nothing to do */
} recurrent_slice;

#if defined(__AVX512F__)
typedef struct recurrent_slice_sums {
    v16 row[UNIT_ROWS];
} recurrent_slice_sums;

INGOT_INLINE void recurrent_slice_begin(const recurrent_slice *slice, recurrent_slice_sums *s) {
#pragma GCC unroll 8
    for (int m = 0; m < UNIT_ROWS; m++) s->row[m] = v16_load(slice->init);
}
INGOT_INLINE void recurrent_slice_add(const recurrent_slice *slice, recurrent_slice_sums *s, int64_t k) {
    const v16 w = v16_load(slice->panel + k * 16);
#pragma GCC unroll 8
    for (int m = 0; m < UNIT_ROWS; m++) s->row[m] = recurrent_fma(v16_set1(slice->x[k * UNIT_ROWS + m]), w, s->row[m]);
}
INGOT_INLINE void recurrent_slice_end(const recurrent_slice *slice, const recurrent_slice_sums *s) {
#pragma GCC unroll 8
    for (int m = 0; m < UNIT_ROWS; m++) v16_store(slice->out + m * slice->pitch, s->row[m]);
}
#endif

/* sums[g] += x[k] * panels[g * apart / 16][k], two k */
INGOT_INLINE void recurrent_units_add(v16 sum[4][2], const float *x, const float *panels, int64_t stride, int64_t k,
                                      const int gates) {
#pragma GCC unroll 2
    for (int odd = 0; odd < 2; odd++) {
        const v16 factor = v16_set1(x[k + odd]);
#pragma GCC unroll 4
        for (int g = 0; g < gates; g++) {
            v16 *s = &sum[g][odd & (UNIT_SUMS - 1)];
            *s = recurrent_fma(factor, v16_load(panels + g * stride + (k + odd) * 16), *s);
        }
    }
}

/* Of 16 units: sums[g][...] = init[g * apart ...] + sum over k of x[k] * panels[g * apart / 16][k][...]; and a slice.
 */
INGOT_INLINE void recurrent_units(float *sums, const float *init, const float *x, int64_t n, const float *panels,
                                  int64_t apart, const int gates, const recurrent_slice *slice) {
    const int64_t stride = apart * n;
    v16 sum[4][2];
    int64_t k = 0;
#pragma GCC unroll 4
    for (int g = 0; g < gates; g++) {
        sum[g][UNIT_SUMS - 1] = v16_zero();
        sum[g][0] = v16_load(init + g * apart);
    }
#if defined(__AVX512F__)
    if (slice->count > 0) {
        recurrent_slice_sums rows;
        int64_t j = 0;
        recurrent_slice_begin(slice, &rows);
        for (; j < slice->count && k + 2 <= n; j++, k += 2) {
            recurrent_units_add(sum, x, panels, stride, k, gates);
            recurrent_slice_add(slice, &rows, j);
        }
        for (; j < slice->count; j++) recurrent_slice_add(slice, &rows, j);
        recurrent_slice_end(slice, &rows);
    }
#endif
    for (; k + 2 <= n; k += 2) recurrent_units_add(sum, x, panels, stride, k, gates);
#pragma GCC unroll 4
    for (int g = 0; g < gates; g++) {
        if (n % 2 != 0) {
            const v16 last = v16_load(panels + g * stride + (n - 1) * 16);
            sum[g][0] = recurrent_fma(v16_set1(x[n - 1]), last, sum[g][0]);
        }
        v16_store(sums + g * 16, UNIT_SUMS == 2 ? v16_add(sum[g][0], sum[g][1]) : sum[g][0]);
    }
}

#endif
