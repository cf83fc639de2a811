/* Sixteen 32-bit integers in registers, beside the sixteen floats of vec16.h, and the steps between them and bytes:
 * what the epilogue of INT8 needs. For the files of instruction sets; portable code has plain loops. */
#ifndef INGOT_LANES_S8_H
#define INGOT_LANES_S8_H

#include "requantize.h"
#include "vec16.h"

#if defined(__AVX512F__)

typedef __m512i w16;

INGOT_INLINE w16 w16_set1(int32_t x) { return _mm512_set1_epi32(x); }
INGOT_INLINE w16 w16_load(const int32_t *p) { return _mm512_loadu_si512(p); }
INGOT_INLINE w16 w16_load_n(const int32_t *p, int64_t n) {
    return _mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1u), p);
}
INGOT_INLINE w16 w16_add(w16 a, w16 b) { return _mm512_add_epi32(a, b); }
INGOT_INLINE w16 w16_mul(w16 a, w16 b) { return _mm512_mullo_epi32(a, b); }
INGOT_INLINE v16 w16_real(w16 x) { return _mm512_cvtepi32_ps(x); }

/* To whole numbers, halves to even; NaN becomes 0. The others must fit. */
INGOT_INLINE w16 w16_round(v16 x) {
    return _mm512_maskz_cvt_roundps_epi32(_mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x,
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

INGOT_INLINE w16 w16_nearest(v16 x) { return _mm512_cvtps_epi32(x); }

/* The first n bytes, 0 <= n <= 16; no memory behind them is touched. */
INGOT_INLINE w16 w16_load_bytes(const int8_t *p, int64_t n) {
    return _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1u), p));
}
/* The low byte of each. */
INGOT_INLINE void w16_store_bytes(int8_t *p, w16 x, int64_t n) {
    if (n == 16) {
        _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(x));
    } else {
        _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1u), _mm512_cvtepi32_epi8(x));
    }
}
/* A zero point, and what bytes are clamped to after it has been added. */
typedef struct w16_bounds {
    __m512i zero, lo, hi;
} w16_bounds;

INGOT_INLINE w16_bounds w16_bounds_of(int32_t zero, int8_t lo, int8_t hi) {
    return (w16_bounds){_mm512_set1_epi16((int16_t)zero), _mm512_set1_epi8(lo), _mm512_set1_epi8(hi)};
}
/* Four times sixteen to bytes, with the zero point and the bounds: [quarter of each 16][which 16][4 bytes]. */
INGOT_INLINE __m512i w16_pack_(const w16 q[4], const w16_bounds *b) {
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), b->zero);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), b->zero);
    return _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(low, high), b->lo), b->hi);
}
/* The same, sixteen behind sixteen. */
INGOT_INLINE __m512i w16_pack_in_order_(const w16 q[4], const w16_bounds *b) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, w16_pack_(q, b));
}
/* Four times sixteen, [quarter of 16][which 16][lane], to 64 bytes in order. */
INGOT_INLINE void w16_store_quarters(int8_t *p, const w16 q[4], const w16_bounds *b) {
    _mm512_storeu_si512(p, w16_pack_(q, b));
}
/* One NaN for all. */
INGOT_INLINE v16 v16_one_nan(v16 x) {
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), _mm512_set1_ps(__builtin_nanf("")));
}

#else /* four or two registers */

#if defined(__AVX2__)
typedef __m256i w16_part;
#define W16_SET1_ _mm256_set1_epi32
INGOT_INLINE w16_part w16_load_(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
#define W16_ADD_ _mm256_add_epi32
#define W16_MUL_ _mm256_mullo_epi32
#define W16_REAL_ _mm256_cvtepi32_ps
#define w16_nearest_ _mm256_cvtps_epi32
INGOT_INLINE w16_part w16_round_(v16_part x) {
    return _mm256_cvtps_epi32(_mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_ORD_Q)));
}
INGOT_INLINE v16_part v16_one_nan_(v16_part x) {
    return _mm256_blendv_ps(x, _mm256_set1_ps(__builtin_nanf("")), _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}
#else
typedef int32x4_t w16_part;
#define W16_SET1_ vdupq_n_s32
#define w16_load_ vld1q_s32
#define W16_ADD_ vaddq_s32
#define W16_MUL_ vmulq_s32
#define W16_REAL_ vcvtq_f32_s32
#define w16_nearest_ vcvtnq_s32_f32
#define w16_round_ vcvtnq_s32_f32 /* of a NaN: 0 */
INGOT_INLINE v16_part v16_one_nan_(v16_part x) {
    return vbslq_f32(vceqq_f32(x, x), x, vdupq_n_f32(__builtin_nanf("")));
}
#endif

typedef struct w16 {
    w16_part part[V16_PARTS];
} w16;

INGOT_INLINE w16 w16_set1(int32_t x) {
    w16 r;
    V16_EACH_(r, W16_SET1_(x));
    return r;
}
INGOT_INLINE w16 w16_load(const int32_t *p) {
    w16 r;
    V16_EACH_(r, w16_load_(p + i * V16_PART));
    return r;
}
INGOT_INLINE w16 w16_load_n(const int32_t *p, int64_t n) {
    int32_t lanes[16] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return w16_load(lanes);
}
INGOT_INLINE w16 w16_add(w16 a, w16 b) {
    w16 r;
    V16_EACH_(r, W16_ADD_(a.part[i], b.part[i]));
    return r;
}
INGOT_INLINE w16 w16_mul(w16 a, w16 b) {
    w16 r;
    V16_EACH_(r, W16_MUL_(a.part[i], b.part[i]));
    return r;
}
INGOT_INLINE v16 w16_real(w16 x) {
    v16 r;
    V16_EACH_(r, W16_REAL_(x.part[i]));
    return r;
}
INGOT_INLINE w16 w16_round(v16 x) {
    w16 r;
    V16_EACH_(r, w16_round_(x.part[i]));
    return r;
}
INGOT_INLINE w16 w16_nearest(v16 x) {
    w16 r;
    V16_EACH_(r, w16_nearest_(x.part[i]));
    return r;
}
INGOT_INLINE v16 v16_one_nan(v16 x) {
    v16 r;
    V16_EACH_(r, v16_one_nan_(x.part[i]));
    return r;
}

/* Fewer than sixteen bytes, in halves of halves. */
INGOT_INLINE void w16_move_bytes_(int8_t *to, const int8_t *from, int64_t n) {
#pragma GCC unroll 4
    for (int64_t part = 8; part > 0; part /= 2) {
        if (n & part) {
            memcpy(to, from, (size_t)part);
            to += part;
            from += part;
        }
    }
}
INGOT_INLINE w16 w16_load_bytes(const int8_t *p, int64_t n) {
    int8_t some[16] = {0};
    w16 r;
    if (n < 16) {
        w16_move_bytes_(some, p, n);
        p = some;
    }
#if defined(__AVX2__)
    V16_EACH_(r, _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p + i * V16_PART))));
#else
    const int8x16_t bytes = vld1q_s8(p);
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
    r.part[0] = vmovl_s16(vget_low_s16(low));
    r.part[1] = vmovl_high_s16(low);
    r.part[2] = vmovl_s16(vget_low_s16(high));
    r.part[3] = vmovl_high_s16(high);
#endif
    return r;
}
/* They must fit bytes. */
INGOT_INLINE void w16_store_bytes(int8_t *p, w16 x, int64_t n) {
    int8_t some[16];
    int8_t *to = n == 16 ? p : some;
#if defined(__AVX2__)
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.part[0], x.part[1]), 0xd8);
    const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(void *)to, bytes);
#else
    const int16x8_t low = vmovn_high_s32(vmovn_s32(x.part[0]), x.part[1]);
    const int16x8_t high = vmovn_high_s32(vmovn_s32(x.part[2]), x.part[3]);
    vst1q_s8(to, vmovn_high_s16(vmovn_s16(low), high));
#endif
    if (n < 16) {
        w16_move_bytes_(p, some, n);
    }
}

#if defined(__AVX2__)
typedef struct w16_bounds {
    __m256i zero, lo, hi;
} w16_bounds;

INGOT_INLINE w16_bounds w16_bounds_of(int32_t zero, int8_t lo, int8_t hi) {
    return (w16_bounds){_mm256_set1_epi16((int16_t)zero), _mm256_set1_epi8(lo), _mm256_set1_epi8(hi)};
}
INGOT_INLINE void w16_store_quarters(int8_t *p, const w16 q[4], const w16_bounds *b) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(q[0].part[i], q[1].part[i]), b->zero);
        const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(q[2].part[i], q[3].part[i]), b->zero);
        const __m256i bytes = _mm256_max_epi8(_mm256_packs_epi16(low, high), b->lo);
        _mm256_storeu_si256((__m256i *)(void *)(p + 32 * i), _mm256_min_epi8(bytes, b->hi));
    }
}
#else
typedef struct w16_bounds {
    int16x8_t zero;
    int8x16_t lo, hi;
} w16_bounds;

INGOT_INLINE w16_bounds w16_bounds_of(int32_t zero, int8_t lo, int8_t hi) {
    return (w16_bounds){vdupq_n_s16((int16_t)zero), vdupq_n_s8(lo), vdupq_n_s8(hi)};
}
INGOT_INLINE void w16_store_quarters(int8_t *p, const w16 q[4], const w16_bounds *b) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const int16x8_t low = vqmovn_high_s32(vqmovn_s32(q[0].part[i]), q[1].part[i]);
        const int16x8_t high = vqmovn_high_s32(vqmovn_s32(q[2].part[i]), q[3].part[i]);
        const int8x8_t first = vqmovn_s16(vqaddq_s16(low, b->zero));
        const int8x16_t bytes = vqmovn_high_s16(first, vqaddq_s16(high, b->zero));
        vst1q_s8(p + 16 * i, vminq_s8(vmaxq_s8(bytes, b->lo), b->hi));
    }
}
#endif

#endif
#endif
