/* Sixteen float16 or bfloat16 numbers to and from sixteen floats. `dtype` is a constant wherever this is inlined.
 *
 * Widening is exact. Narrowing rounds to nearest, ties to even; a float16 that does not fit becomes infinite, and NaN
 * stays NaN (which one depends on the instruction set). */
#ifndef INGOT_VEC16_HALF_H
#define INGOT_VEC16_HALF_H

#include "half.h"
#include "ingot_format.h"
#include "vec16.h"

#if defined(__AVX512F__)

INGOT_INLINE v16 v16_widen_(const uint8_t dtype, __m256i bits) {
    if (dtype == INGOT_F16) {
        return _mm512_cvtph_ps(bits);
    }
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
INGOT_INLINE __m256i v16_narrow_(const uint8_t dtype, v16 x) {
    if (dtype == INGOT_F16) {
        return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    const __m512i u = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_epi32(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    rounded = _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), u, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}
INGOT_INLINE v16 v16_widen(const uint8_t dtype, const uint16_t *p) {
    return v16_widen_(dtype, _mm256_loadu_si256((const __m256i *)(const void *)p));
}
INGOT_INLINE void v16_narrow(const uint8_t dtype, uint16_t *p, v16 x) {
    _mm256_storeu_si256((__m256i *)(void *)p, v16_narrow_(dtype, x));
}
/* The first and the second of sixteen pairs of bfloat16. */
INGOT_INLINE void v16_widen_pairs(const uint16_t *p, v16 *first, v16 *second) {
    const __m512i pairs = _mm512_loadu_si512(p);
    *first = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    *second = _mm512_castsi512_ps(_mm512_and_epi32(pairs, _mm512_set1_epi32((int)0xffff0000u)));
}

#elif defined(__AVX2__)

INGOT_INLINE v16 v16_widen(const uint8_t dtype, const uint16_t *p) {
    v16 r;
    for (int i = 0; i < 2; i++) {
        const __m128i bits = _mm_loadu_si128((const __m128i *)(const void *)(p + 8 * i));
        r.part[i] = dtype == INGOT_F16 ? _mm256_cvtph_ps(bits)
                                       : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
    }
    return r;
}
INGOT_INLINE void v16_narrow(const uint8_t dtype, uint16_t *p, v16 x) {
    __m256i wide[2];
    for (int i = 0; i < 2; i++) {
        if (dtype == INGOT_F16) {
            const __m128i bits = _mm256_cvtps_ph(x.part[i], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            _mm_storeu_si128((__m128i *)(void *)(p + 8 * i), bits);
            continue;
        }
        const __m256i u = _mm256_castps_si256(x.part[i]);
        const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
        const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
        const __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
        const __m256 nan = _mm256_cmp_ps(x.part[i], x.part[i], _CMP_UNORD_Q);
        wide[i] = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(nan)), 16);
    }
    if (dtype != INGOT_F16) {
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(wide[0], wide[1]), 0xd8);
        _mm256_storeu_si256((__m256i *)(void *)p, packed);
    }
}
INGOT_INLINE void v16_widen_pairs(const uint16_t *p, v16 *first, v16 *second) {
    for (int i = 0; i < 2; i++) {
        const __m256i pairs = _mm256_loadu_si256((const __m256i *)(const void *)(p + 16 * i));
        first->part[i] = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
        second->part[i] = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000u)));
    }
}

#elif defined(V16_NEON)

INGOT_INLINE v16 v16_widen(const uint8_t dtype, const uint16_t *p) {
    v16 r;
    for (int i = 0; i < 4; i++) {
        const uint16x4_t bits = vld1_u16(p + 4 * i);
        r.part[i] = dtype == INGOT_F16 ? vcvt_f32_f16(vreinterpret_f16_u16(bits))
                                       : vreinterpretq_f32_u32(vshll_n_u16(bits, 16));
    }
    return r;
}
INGOT_INLINE void v16_narrow(const uint8_t dtype, uint16_t *p, v16 x) {
    for (int i = 0; i < 4; i++) {
        if (dtype == INGOT_F16) {
            vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.part[i])));
            continue;
        }
        const uint32x4_t u = vreinterpretq_u32_f32(x.part[i]);
        const uint32x4_t odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
        const uint32x4_t rounded = vaddq_u32(vaddq_u32(u, vdupq_n_u32(0x7fff)), odd);
        const uint32x4_t number = vceqq_f32(x.part[i], x.part[i]);
        vst1_u16(p + 4 * i, vshrn_n_u32(vbslq_u32(number, rounded, vorrq_u32(u, vdupq_n_u32(0x400000))), 16));
    }
}
INGOT_INLINE void v16_widen_pairs(const uint16_t *p, v16 *first, v16 *second) {
    for (int i = 0; i < 4; i++) {
        const uint32x4_t pairs = vreinterpretq_u32_u16(vld1q_u16(p + 8 * i));
        first->part[i] = vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16));
        second->part[i] = vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000u)));
    }
}

#else

/* Out of line: they are long, and small matters more here. */
static __attribute__((noinline)) void v16_widen_(uint8_t dtype, const uint16_t *p, int step, float *to) {
    for (int i = 0; i < 16; i++, p += step) {
        to[i] = dtype == INGOT_F16 ? ingot_f32_of_f16(*p) : ingot_float_of_bits((uint32_t)*p << 16);
    }
}
static __attribute__((noinline)) void v16_narrow_(uint8_t dtype, uint16_t *p, const float *from) {
    for (int i = 0; i < 16; i++) {
        p[i] = dtype == INGOT_F16 ? ingot_f16_of_f32(from[i]) : ingot_bf16_of_f32(from[i]);
    }
}
INGOT_INLINE v16 v16_widen(const uint8_t dtype, const uint16_t *p) {
    float lanes[16];
    v16_widen_(dtype, p, 1, lanes);
    return v16_load(lanes);
}
INGOT_INLINE void v16_narrow(const uint8_t dtype, uint16_t *p, v16 x) {
    float lanes[16];
    v16_store(lanes, x);
    v16_narrow_(dtype, p, lanes);
}
INGOT_INLINE void v16_widen_pairs(const uint16_t *p, v16 *first, v16 *second) {
    float lanes[2][16];
    v16_widen_(INGOT_BF16, p, 2, lanes[0]);
    v16_widen_(INGOT_BF16, p + 1, 2, lanes[1]);
    *first = v16_load(lanes[0]);
    *second = v16_load(lanes[1]);
}

#endif

/* The first n of sixteen, 0 <= n <= 16; other lanes are zero, other memory is not touched. */
#if defined(__AVX512F__)
INGOT_INLINE v16 v16_widen_n(const uint8_t dtype, const uint16_t *p, int64_t n) {
    return v16_widen_(dtype, _mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1u), p));
}
INGOT_INLINE void v16_narrow_n(const uint8_t dtype, uint16_t *p, v16 x, int64_t n) {
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1u), v16_narrow_(dtype, x));
}
#else
/* Out of line: it is rare. */
static __attribute__((noinline)) void v16_copy_n(uint16_t *to, const uint16_t *from, int64_t n) {
    for (int64_t part = 8; part > 0; part /= 2) {
        if (n & part) {
            for (int64_t i = 0; i < part; i++) {
                to[i] = from[i];
            }
            to += part;
            from += part;
        }
    }
}
INGOT_INLINE v16 v16_widen_n(const uint8_t dtype, const uint16_t *p, int64_t n) {
    uint16_t lanes[16] = {0};
    if (n == 16) {
        return v16_widen(dtype, p);
    }
    v16_copy_n(lanes, p, n);
    return v16_widen(dtype, lanes);
}
INGOT_INLINE void v16_narrow_n(const uint8_t dtype, uint16_t *p, v16 x, int64_t n) {
    uint16_t lanes[16];
    if (n == 16) {
        v16_narrow(dtype, p, x);
        return;
    }
    v16_narrow(dtype, lanes, x);
    v16_copy_n(p, lanes, n);
}
#endif

#endif
