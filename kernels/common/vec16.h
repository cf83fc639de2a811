/* Sixteen float lanes, whatever the instruction set: one zmm, two ymm, four q registers or four generic vectors.
 *
 * Kernels written with these compile for every instruction set; only this header knows which one. A fused
 * multiply-add rounds once where the instruction set has it and twice where it has not, hence FP32 kernels give the
 * same bits on every run of one instruction set, but not across them. `max` and `min` let a NaN in `x` through. */
#ifndef INGOT_VEC16_H
#define INGOT_VEC16_H

#include <stdint.h>
#include <string.h>

#define INGOT_INLINE static inline __attribute__((always_inline))

/* Before a loop whose arrays are registers once it is unrolled; of the portable kernels it is worth more to be small.
 */
#define INGOT_PRAGMA_(text) _Pragma(#text)
#ifdef INGOT_ISA_portable
#define INGOT_UNROLL(times)
#else
#define INGOT_UNROLL(times) INGOT_PRAGMA_(GCC unroll times)
#endif

#if defined(__AVX512F__)
#include <immintrin.h>

typedef __m512 v16;
#define V16_LOW_HALF_(x) _mm512_castps512_ps256(x)
#define V16_FROM_LOW_(x) _mm512_castps256_ps512(x)

INGOT_INLINE v16 v16_zero(void) { return _mm512_setzero_ps(); }
INGOT_INLINE v16 v16_set1(float x) { return _mm512_set1_ps(x); }
INGOT_INLINE v16 v16_load(const float *p) { return _mm512_loadu_ps(p); }
INGOT_INLINE void v16_store(float *p, v16 x) { _mm512_storeu_ps(p, x); }
INGOT_INLINE v16 v16_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
INGOT_INLINE v16 v16_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
INGOT_INLINE v16 v16_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
INGOT_INLINE v16 v16_max(v16 lo, v16 x) { return _mm512_max_ps(lo, x); }
INGOT_INLINE v16 v16_min(v16 hi, v16 x) { return _mm512_min_ps(hi, x); }

/* The first n lanes, 0 <= n <= 16; the other lanes are zero, and no memory behind the n floats is touched. */
INGOT_INLINE v16 v16_load_n(const float *p, int64_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p); }
INGOT_INLINE void v16_store_n(float *p, v16 x, int64_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), x); }
INGOT_INLINE float v16_sum(v16 x) { return _mm512_reduce_add_ps(x); }

#else /* four or two registers */

#if defined(__AVX2__)
#include <immintrin.h>

enum { V16_PARTS = 2, V16_PART = 8 };
typedef __m256 v16_part;
#define V16_ZERO_ _mm256_setzero_ps
#define V16_SET1_ _mm256_set1_ps
#define V16_LOAD_ _mm256_loadu_ps
#define V16_STORE_ _mm256_storeu_ps
#define V16_ADD_ _mm256_add_ps
#define V16_MUL_ _mm256_mul_ps
#define V16_FMA_ _mm256_fmadd_ps
#define V16_MAX_ _mm256_max_ps
#define V16_MIN_ _mm256_min_ps

#elif defined(INGOT_ISA_neon) || defined(INGOT_ISA_neondot) || defined(INGOT_ISA_neonbf16)
#include <arm_neon.h>
#define V16_NEON 1

enum { V16_PARTS = 4, V16_PART = 4 };
typedef float32x4_t v16_part;
INGOT_INLINE v16_part v16_zero_(void) { return vdupq_n_f32(0.0f); }
INGOT_INLINE v16_part v16_fma_(v16_part a, v16_part b, v16_part c) { return vfmaq_f32(c, a, b); }
INGOT_INLINE v16_part v16_max_(v16_part lo, v16_part x) { return vbslq_f32(vcltq_f32(x, lo), lo, x); }
INGOT_INLINE v16_part v16_min_(v16_part hi, v16_part x) { return vbslq_f32(vcgtq_f32(x, hi), hi, x); }
#define V16_ZERO_ v16_zero_
#define V16_SET1_ vdupq_n_f32
#define V16_LOAD_ vld1q_f32
#define V16_STORE_ vst1q_f32
#define V16_ADD_ vaddq_f32
#define V16_MUL_ vmulq_f32
#define V16_FMA_ v16_fma_
#define V16_MAX_ v16_max_
#define V16_MIN_ v16_min_

#else /* portable: vectors that gcc and clang lower to whatever the architecture's baseline has */

enum { V16_PARTS = 4, V16_PART = 4 };
typedef float v16_part __attribute__((vector_size(16)));
typedef int32_t v16_part_mask __attribute__((vector_size(16)));
INGOT_INLINE v16_part v16_zero_(void) { return (v16_part){0.0f, 0.0f, 0.0f, 0.0f}; }
INGOT_INLINE v16_part v16_set1_(float x) { return (v16_part){x, x, x, x}; }
INGOT_INLINE v16_part v16_load_(const float *p) {
    v16_part x;
    memcpy(&x, p, sizeof x);
    return x;
}
INGOT_INLINE void v16_store_(float *p, v16_part x) { memcpy(p, &x, sizeof x); }
INGOT_INLINE v16_part v16_add_(v16_part a, v16_part b) { return a + b; }
INGOT_INLINE v16_part v16_mul_(v16_part a, v16_part b) { return a * b; }
INGOT_INLINE v16_part v16_fma_(v16_part a, v16_part b, v16_part c) { return a * b + c; }
INGOT_INLINE v16_part v16_blend_(v16_part_mask m, v16_part yes, v16_part no) {
    return (v16_part)(((v16_part_mask)yes & m) | ((v16_part_mask)no & ~m));
}
INGOT_INLINE v16_part v16_max_(v16_part lo, v16_part x) { return v16_blend_((v16_part_mask)(x < lo), lo, x); }
INGOT_INLINE v16_part v16_min_(v16_part hi, v16_part x) { return v16_blend_((v16_part_mask)(x > hi), hi, x); }
#define V16_ZERO_ v16_zero_
#define V16_SET1_ v16_set1_
#define V16_LOAD_ v16_load_
#define V16_STORE_ v16_store_
#define V16_ADD_ v16_add_
#define V16_MUL_ v16_mul_
#define V16_FMA_ v16_fma_
#define V16_MAX_ v16_max_
#define V16_MIN_ v16_min_
#endif

typedef struct v16 {
    v16_part part[V16_PARTS];
} v16;

#define V16_EACH_(result, expression)                                                                                  \
    do {                                                                                                               \
        _Pragma("GCC unroll 4") for (int i = 0; i < V16_PARTS; i++) { (result).part[i] = (expression); }               \
    } while (0)

INGOT_INLINE v16 v16_zero(void) {
    v16 r;
    V16_EACH_(r, V16_ZERO_());
    return r;
}
INGOT_INLINE v16 v16_set1(float x) {
    v16 r;
    v16_part all = V16_SET1_(x);
    V16_EACH_(r, all);
    return r;
}
INGOT_INLINE v16 v16_load(const float *p) {
    v16 r;
    V16_EACH_(r, V16_LOAD_(p + i * V16_PART));
    return r;
}
INGOT_INLINE void v16_store(float *p, v16 x) {
#pragma GCC unroll 4
    for (int i = 0; i < V16_PARTS; i++) {
        V16_STORE_(p + i * V16_PART, x.part[i]);
    }
}
INGOT_INLINE v16 v16_add(v16 a, v16 b) {
    v16 r;
    V16_EACH_(r, V16_ADD_(a.part[i], b.part[i]));
    return r;
}
INGOT_INLINE v16 v16_mul(v16 a, v16 b) {
    v16 r;
    V16_EACH_(r, V16_MUL_(a.part[i], b.part[i]));
    return r;
}
INGOT_INLINE v16 v16_fma(v16 a, v16 b, v16 c) {
    v16 r;
    V16_EACH_(r, V16_FMA_(a.part[i], b.part[i], c.part[i]));
    return r;
}
INGOT_INLINE v16 v16_max(v16 lo, v16 x) {
    v16 r;
    V16_EACH_(r, V16_MAX_(lo.part[i], x.part[i]));
    return r;
}
INGOT_INLINE v16 v16_min(v16 hi, v16 x) {
    v16 r;
    V16_EACH_(r, V16_MIN_(hi.part[i], x.part[i]));
    return r;
}

/* The first n lanes, 0 <= n <= 16; the other lanes are zero, and no memory behind the n floats is touched. */
#if defined(__AVX2__)
INGOT_INLINE __m256i v16_mask_(int64_t n, int part) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n - part * V16_PART), lane);
}
INGOT_INLINE v16 v16_load_n(const float *p, int64_t n) {
    v16 r;
    V16_EACH_(r, _mm256_maskload_ps(p + i * V16_PART, v16_mask_(n, i)));
    return r;
}
/* Not by masked stores, which some processors do in microcode. */
INGOT_INLINE void v16_store_n(float *p, v16 x, int64_t n) {
    __m256 eight = x.part[0];
    if (n & 16) {
        v16_store(p, x);
        return;
    }
    if (n & 8) {
        _mm256_storeu_ps(p, eight);
        eight = x.part[1];
        p += 8;
    }
    __m128 four = _mm256_castps256_ps128(eight);
    if (n & 4) {
        _mm_storeu_ps(p, four);
        four = _mm256_extractf128_ps(eight, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, four);
        four = _mm_movehl_ps(four, four);
        p += 2;
    }
    if (n & 1) {
        _mm_store_ss(p, four);
    }
}
#else
INGOT_INLINE v16 v16_load_n(const float *p, int64_t n) {
    float lanes[16] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return v16_load(lanes);
}
INGOT_INLINE void v16_store_n(float *p, v16 x, int64_t n) {
    float lanes[16];
    int64_t i = 0;
    v16_store(lanes, x);
    for (; i + 4 <= n; i += 4) {
        memcpy(p + i, lanes + i, 4 * sizeof *p);
    }
    for (; i < n; i++) {
        p[i] = lanes[i];
    }
}
#endif
INGOT_INLINE float v16_sum(v16 x) {
    float lanes[16];
    v16_store(lanes, x);
    for (int width = 8; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) {
            lanes[i] += lanes[i + width];
        }
    }
    return lanes[0];
}

#endif

/* One register of the instruction set, for code that needs many at a time and no particular number of lanes. */
#if defined(__AVX512F__)
enum { VREG_LANES = 16 };
typedef v16 vreg;
#define V16_SET1_ v16_set1
#define V16_LOAD_ v16_load
#define V16_STORE_ v16_store
#define V16_ADD_ v16_add
#define V16_MUL_ v16_mul
#define V16_FMA_ v16_fma
#define V16_MAX_ v16_max
#define V16_MIN_ v16_min
#define V16_SUB_ _mm512_sub_ps
#else
enum { VREG_LANES = V16_PART };
typedef v16_part vreg;
#if defined(__AVX2__)
#define V16_SUB_ _mm256_sub_ps
#elif defined(V16_NEON)
#define V16_SUB_ vsubq_f32
#else
INGOT_INLINE vreg v16_sub_(vreg a, vreg b) { return a - b; }
#define V16_SUB_ v16_sub_
#endif
#endif
INGOT_INLINE vreg vreg_set1(float x) { return V16_SET1_(x); }
INGOT_INLINE vreg vreg_load(const float *p) { return V16_LOAD_(p); }
INGOT_INLINE void vreg_store(float *p, vreg x) { V16_STORE_(p, x); }
INGOT_INLINE vreg vreg_add(vreg a, vreg b) { return V16_ADD_(a, b); }
INGOT_INLINE vreg vreg_sub(vreg a, vreg b) { return V16_SUB_(a, b); }
INGOT_INLINE vreg vreg_mul(vreg a, vreg b) { return V16_MUL_(a, b); }
INGOT_INLINE vreg vreg_fma(vreg a, vreg b, vreg c) { return V16_FMA_(a, b, c); }
INGOT_INLINE vreg vreg_max(vreg lo, vreg x) { return V16_MAX_(lo, x); }
INGOT_INLINE vreg vreg_min(vreg hi, vreg x) { return V16_MIN_(hi, x); }

/* The low eight lanes alone, where that is a register of its own and twice as fast. */
#if defined(__AVX2__)
#define INGOT_HAVE_V8 1

typedef __m256 v8;

#ifndef __AVX512F__
#define V16_LOW_HALF_(x) (x).part[0]
#define V16_FROM_LOW_(x) ((v16){{(x), _mm256_setzero_ps()}})
#endif
INGOT_INLINE v8 v8_low(v16 x) { return V16_LOW_HALF_(x); }
INGOT_INLINE v16 v16_from_low(v8 x) { return V16_FROM_LOW_(x); }
INGOT_INLINE v8 v8_set1(float x) { return _mm256_set1_ps(x); }
INGOT_INLINE v8 v8_load(const float *p) { return _mm256_loadu_ps(p); }
INGOT_INLINE v8 v8_fma(v8 a, v8 b, v8 c) { return _mm256_fmadd_ps(a, b, c); }
#endif

/* clip(alpha x + beta, 0, 1), as ingot_hard_sigmoid_f32 has it. */
INGOT_INLINE v16 v16_hard_sigmoid(v16 x, float alpha, float beta) {
    const v16 line = v16_add(v16_mul(v16_set1(alpha), x), v16_set1(beta));
    return v16_min(v16_set1(1.0f), v16_max(v16_zero(), line));
}

/* x clip(x / 6 + 1/2, 0, 1), as ingot_hard_swish_f32 has it. */
INGOT_INLINE v16 v16_hard_swish(v16 x) { return v16_mul(x, v16_hard_sigmoid(x, 1.0f / 6.0f, 0.5f)); }

#endif
