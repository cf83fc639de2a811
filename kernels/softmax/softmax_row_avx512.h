/* What softmax_row.h has for float32, in registers of AVX-512: 2^x by a polynomial of degree 5 (2e-7 of the result at
 * most) and the instruction that scales by a power of two. Results below 2^-126 become 0. y may be x. */
#ifndef INGOT_SOFTMAX_ROW_AVX512_H
#define INGOT_SOFTMAX_ROW_AVX512_H

#include <immintrin.h>
#include <stdint.h>

enum { lanes_f32 = 32 };

/* The first n <= 16 elements. */
static inline __mmask16 row_mask_f32(int64_t n) { return (__mmask16)((1u << n) - 1u); }

static inline float largest_f32(const float *x, int64_t n) {
    const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
    __m512 most[2] = {lowest, lowest};
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) { /* a NaN is passed over: the second operand is what counts then */
        most[0] = _mm512_max_ps(_mm512_loadu_ps(x + i), most[0]);
        most[1] = _mm512_max_ps(_mm512_loadu_ps(x + i + 16), most[1]);
    }
    for (; i < n; i += 16) {
        const __mmask16 some = row_mask_f32(n - i < 16 ? n - i : 16);
        most[0] = _mm512_max_ps(_mm512_mask_loadu_ps(lowest, some, x + i), most[0]);
    }
    return _mm512_reduce_max_ps(_mm512_max_ps(most[1], most[0]));
}

/* e^x for x <= 0. */
static inline __m512 exp_lanes_f32(__m512 x) {
    const __mmask16 normal = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.33654f), _CMP_NLT_UQ); /* or a NaN */
    const __m512 power = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f));
    const __m512 whole = _mm512_roundscale_ps(power, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 r = _mm512_sub_ps(power, whole);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(1.3276471519e-3f), r, _mm512_set1_ps(9.6755413307e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.5507132750e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.4022119724e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.9314696706e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_maskz_scalef_ps(normal, p, whole);
}

/* y = e^(x - m), and its sum; y may be NULL. */
static inline float exp_row_f32(float *y, const float *x, int64_t n, float m) {
    const __m512 most = _mm512_set1_ps(m);
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m512 low = exp_lanes_f32(_mm512_sub_ps(_mm512_loadu_ps(x + i), most));
        const __m512 high = exp_lanes_f32(_mm512_sub_ps(_mm512_loadu_ps(x + i + 16), most));
        sum[0] = _mm512_add_ps(sum[0], low);
        sum[1] = _mm512_add_ps(sum[1], high);
        if (y != NULL) {
            _mm512_storeu_ps(y + i, low);
            _mm512_storeu_ps(y + i + 16, high);
        }
    }
    for (; i < n; i += 16) {
        const __mmask16 some = row_mask_f32(n - i < 16 ? n - i : 16);
        const __m512 e = exp_lanes_f32(_mm512_sub_ps(_mm512_maskz_loadu_ps(some, x + i), most));
        sum[0] = _mm512_mask_add_ps(sum[0], some, sum[0], e);
        if (y != NULL) _mm512_mask_storeu_ps(y + i, some, e);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
}

#endif
