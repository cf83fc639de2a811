/* Sums of products of four neighbouring bytes, exact for all bytes, on each instruction set.
 *
 * s8_sum: 32-bit sums of S8_COLUMNS columns; s8_weights: S8_BYTES of them, [column][4]; s8_factor: what they are
 * multiplied by; s8_bytes: S8_BYTES bytes. S8_FLIP: sums come out with that many times the sum of the weights added.
 * S8_ROWS by S8_VECTORS sums fit the registers. */
#ifndef INGOT_S8_DOT_H
#define INGOT_S8_DOT_H

#include <stdint.h>
#include <string.h>

#define S8_INLINE static inline __attribute__((always_inline))

#if defined(__AVX2__)
#include <immintrin.h>

S8_INLINE int32_t s8_load_step(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return four;
}

/* Bytes of four rows: first pairs, then fours of one column, within each 128 bits. */
#define S8_INTERLEAVE_(x, prefix)                                                                                      \
    do {                                                                                                               \
        const s8_bytes a = prefix##_unpacklo_epi8((x)[0], (x)[1]);                                                     \
        const s8_bytes b = prefix##_unpackhi_epi8((x)[0], (x)[1]);                                                     \
        const s8_bytes c = prefix##_unpacklo_epi8((x)[2], (x)[3]);                                                     \
        const s8_bytes d = prefix##_unpackhi_epi8((x)[2], (x)[3]);                                                     \
        (x)[0] = prefix##_unpacklo_epi16(a, c);                                                                        \
        (x)[1] = prefix##_unpackhi_epi16(a, c);                                                                        \
        (x)[2] = prefix##_unpacklo_epi16(b, d);                                                                        \
        (x)[3] = prefix##_unpackhi_epi16(b, d);                                                                        \
    } while (0)
#endif

#if defined(__AVX512VNNI__) /* unsigned by signed bytes: a factor is flipped from x to x + 128 */

#define S8_DIRECT /* a vector of sums is a panel */
enum { S8_BYTES = 64, S8_FLIP = 128, S8_ROWS = 10, S8_VECTORS = 4, S8_MOST_PANELS = 4 };
typedef __m512i s8_sum, s8_weights, s8_factor, s8_bytes;

S8_INLINE s8_sum s8_zero(void) { return _mm512_setzero_si512(); }
S8_INLINE s8_weights s8_load_weights(const int8_t *p) { return _mm512_loadu_si512(p); }
S8_INLINE s8_factor s8_widen(s8_bytes x) { return _mm512_xor_si512(x, _mm512_set1_epi8(-128)); }
S8_INLINE s8_factor s8_splat(const int8_t *p) { return s8_widen(_mm512_set1_epi32(s8_load_step(p))); }
S8_INLINE s8_sum s8_dot(s8_sum sum, s8_factor x, s8_weights w) { return _mm512_dpbusd_epi32(sum, x, w); }
S8_INLINE void s8_store(int32_t *p, s8_sum sum) { _mm512_storeu_si512(p, sum); }
S8_INLINE s8_bytes s8_load(const int8_t *p) { return _mm512_loadu_si512(p); }
S8_INLINE void s8_interleave(s8_bytes *x) { S8_INTERLEAVE_(x, _mm512); }

/* Two panels fill the registers with ten rows; a single row needs four to hide the latency of the instruction. */
S8_INLINE int s8_panels_together(int rows, int64_t left) { return rows == 1 && left >= 4 ? 4 : left >= 2 ? 2 : 1; }
#define S8_BLOCK_FUNCTIONS                                                                                             \
    S8_BLOCK_FUNCTION(1, 4)                                                                                            \
    S8_BLOCK_FUNCTION(2, 2)                                                                                            \
    S8_BLOCK_FUNCTION(4, 2)                                                                                            \
    S8_BLOCK_FUNCTION(6, 2)                                                                                            \
    S8_BLOCK_FUNCTION(8, 2)                                                                                            \
    S8_BLOCK_FUNCTION(10, 2)                                                                                           \
    S8_BLOCK_FUNCTION(2, 1)                                                                                            \
    S8_BLOCK_FUNCTION(4, 1)                                                                                            \
    S8_BLOCK_FUNCTION(6, 1)                                                                                            \
    S8_BLOCK_FUNCTION(8, 1)                                                                                            \
    S8_BLOCK_FUNCTION(10, 1)                                                                                           \
    S8_INLINE s8_block_fn s8_find_block(int rows, int vectors) {                                                       \
        static const s8_block_fn two[] = {s8_block_2x2, s8_block_4x2, s8_block_6x2, s8_block_8x2, s8_block_10x2};      \
        static const s8_block_fn one[] = {s8_block_2x1, s8_block_4x1, s8_block_6x1, s8_block_8x1, s8_block_10x1};      \
        return vectors == 4 ? s8_block_1x4 : (vectors == 2 ? two : one)[(rows - 1) / 2];                               \
    }

#elif defined(__AVXVNNI__)

enum { S8_BYTES = 32, S8_FLIP = 128, S8_ROWS = 5, S8_VECTORS = 2, S8_MOST_PANELS = 1 };
typedef __m256i s8_sum, s8_weights, s8_factor, s8_bytes;

S8_INLINE s8_sum s8_zero(void) { return _mm256_setzero_si256(); }
S8_INLINE s8_weights s8_load_weights(const int8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
S8_INLINE s8_factor s8_widen(s8_bytes x) { return _mm256_xor_si256(x, _mm256_set1_epi8(-128)); }
S8_INLINE s8_factor s8_splat(const int8_t *p) { return s8_widen(_mm256_set1_epi32(s8_load_step(p))); }
S8_INLINE s8_sum s8_dot(s8_sum sum, s8_factor x, s8_weights w) { return _mm256_dpbusd_avx_epi32(sum, x, w); }
S8_INLINE void s8_store(int32_t *p, s8_sum sum) { _mm256_storeu_si256((__m256i *)(void *)p, sum); }
S8_INLINE s8_bytes s8_load(const int8_t *p) { return s8_load_weights(p); }
S8_INLINE void s8_interleave(s8_bytes *x) { S8_INTERLEAVE_(x, _mm256); }

#elif defined(__AVX2__) /* the byte instruction saturates: 16-bit products, two sums for each column until the end */

enum { S8_BYTES = 16, S8_FLIP = 0, S8_ROWS = 5, S8_VECTORS = 2, S8_MOST_PANELS = 1 };
typedef __m256i s8_sum, s8_weights, s8_factor;
typedef __m128i s8_bytes;

S8_INLINE s8_sum s8_zero(void) { return _mm256_setzero_si256(); }
S8_INLINE s8_factor s8_widen(s8_bytes x) { return _mm256_cvtepi8_epi16(x); }
S8_INLINE s8_bytes s8_load(const int8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
S8_INLINE s8_weights s8_load_weights(const int8_t *p) { return s8_widen(s8_load(p)); }
S8_INLINE s8_factor s8_splat(const int8_t *p) { return s8_widen(_mm_set1_epi32(s8_load_step(p))); }
S8_INLINE s8_sum s8_dot(s8_sum sum, s8_factor x, s8_weights w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
}
S8_INLINE void s8_store(int32_t *p, s8_sum sum) {
    const __m128i low = _mm256_castsi256_si128(sum), high = _mm256_extracti128_si256(sum, 1);
    _mm_storeu_si128((__m128i *)(void *)p, _mm_hadd_epi32(low, high));
}
S8_INLINE void s8_interleave(s8_bytes *x) { S8_INTERLEAVE_(x, _mm); }

#elif defined(INGOT_ISA_neon) || defined(INGOT_ISA_neondot)
#include <arm_neon.h>

typedef int8x16_t s8_weights, s8_factor, s8_bytes;
#if defined(INGOT_ISA_neondot)
enum { S8_BYTES = 16, S8_FLIP = 0, S8_ROWS = 5, S8_VECTORS = 4, S8_MOST_PANELS = 1 };
typedef int32x4_t s8_sum;
S8_INLINE s8_sum s8_zero(void) { return vdupq_n_s32(0); }
S8_INLINE s8_sum s8_dot(s8_sum sum, s8_factor x, s8_weights w) { return vdotq_s32(sum, x, w); }
S8_INLINE void s8_store(int32_t *p, s8_sum sum) { vst1q_s32(p, sum); }
#else /* 16-bit products, added in pairs; two sums for each column until the end */
enum { S8_BYTES = 16, S8_FLIP = 0, S8_ROWS = 5, S8_VECTORS = 2, S8_MOST_PANELS = 1 };
typedef int32x4x2_t s8_sum;
S8_INLINE s8_sum s8_zero(void) { return (s8_sum){{vdupq_n_s32(0), vdupq_n_s32(0)}}; }
S8_INLINE s8_sum s8_dot(s8_sum sum, s8_factor x, s8_weights w) {
    sum.val[0] = vpadalq_s16(sum.val[0], vmull_s8(vget_low_s8(x), vget_low_s8(w)));
    sum.val[1] = vpadalq_s16(sum.val[1], vmull_high_s8(x, w));
    return sum;
}
S8_INLINE void s8_store(int32_t *p, s8_sum sum) { vst1q_s32(p, vpaddq_s32(sum.val[0], sum.val[1])); }
#endif
S8_INLINE s8_weights s8_load_weights(const int8_t *p) { return vld1q_s8(p); }
S8_INLINE s8_factor s8_widen(s8_bytes x) { return x; }
S8_INLINE s8_factor s8_splat(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}
S8_INLINE s8_bytes s8_load(const int8_t *p) { return vld1q_s8(p); }
S8_INLINE void s8_interleave(s8_bytes *x) {
    const int16x8_t a = vreinterpretq_s16_s8(vzip1q_s8(x[0], x[1])), b = vreinterpretq_s16_s8(vzip2q_s8(x[0], x[1]));
    const int16x8_t c = vreinterpretq_s16_s8(vzip1q_s8(x[2], x[3])), d = vreinterpretq_s16_s8(vzip2q_s8(x[2], x[3]));
    x[0] = vreinterpretq_s8_s16(vzip1q_s16(a, c));
    x[1] = vreinterpretq_s8_s16(vzip2q_s16(a, c));
    x[2] = vreinterpretq_s8_s16(vzip1q_s16(b, d));
    x[3] = vreinterpretq_s8_s16(vzip2q_s16(b, d));
}

#else /* portable */

enum { S8_BYTES = 16, S8_FLIP = 0, S8_ROWS = 2, S8_VECTORS = 4, S8_MOST_PANELS = 1 };
typedef struct s8_sum {
    uint32_t column[4];
} s8_sum;
typedef struct s8_bytes {
    int8_t byte[S8_BYTES];
} s8_bytes, s8_weights, s8_factor;

S8_INLINE s8_sum s8_zero(void) { return (s8_sum){{0, 0, 0, 0}}; }
S8_INLINE s8_bytes s8_load(const int8_t *p) {
    s8_bytes some;
    memcpy(some.byte, p, sizeof some.byte);
    return some;
}
S8_INLINE s8_weights s8_load_weights(const int8_t *p) { return s8_load(p); }
S8_INLINE s8_factor s8_widen(s8_bytes x) { return x; }
S8_INLINE s8_factor s8_splat(const int8_t *p) {
    s8_factor same;
    for (int i = 0; i < S8_BYTES; i++) {
        same.byte[i] = p[i % 4];
    }
    return same;
}
S8_INLINE s8_sum s8_dot(s8_sum sum, s8_factor x, s8_weights w) {
    for (int i = 0; i < S8_BYTES; i++) {
        sum.column[i / 4] += (uint32_t)(x.byte[i] * w.byte[i]);
    }
    return sum;
}
S8_INLINE void s8_store(int32_t *p, s8_sum sum) { memcpy(p, sum.column, sizeof sum.column); }
S8_INLINE void s8_interleave(s8_bytes *x) {
    s8_bytes turned[4];
    for (int i = 0; i < 4 * S8_BYTES; i++) {
        turned[i / S8_BYTES].byte[i % S8_BYTES] = x[i % 4].byte[i / 4];
    }
    memcpy(x, turned, sizeof turned);
}
#endif

#if !defined(__AVX512VNNI__)
S8_INLINE int s8_panels_together(int rows, int64_t left) {
    (void)rows;
    (void)left;
    return 1;
}
#if defined(INGOT_ISA_neondot)
#define S8_BLOCK_FUNCTIONS                                                                                             \
    S8_BLOCK_FUNCTION(1, 4)                                                                                            \
    S8_BLOCK_FUNCTION(2, 4)                                                                                            \
    S8_BLOCK_FUNCTION(3, 4) S8_BLOCK_FUNCTION(5, 4) S8_INLINE s8_block_fn s8_find_block(int rows, int vectors) {       \
        static const s8_block_fn blocks[] = {s8_block_1x4, s8_block_2x4, s8_block_3x4, s8_block_5x4, s8_block_5x4};    \
        (void)vectors;                                                                                                 \
        return blocks[rows - 1];                                                                                       \
    }
#elif defined(__AVX2__) || defined(INGOT_ISA_neon)
#define S8_BLOCK_FUNCTIONS                                                                                             \
    S8_BLOCK_FUNCTION(1, 2)                                                                                            \
    S8_BLOCK_FUNCTION(2, 2)                                                                                            \
    S8_BLOCK_FUNCTION(3, 2)                                                                                            \
    S8_BLOCK_FUNCTION(4, 2) S8_BLOCK_FUNCTION(5, 2) S8_INLINE s8_block_fn s8_find_block(int rows, int vectors) {       \
        static const s8_block_fn blocks[] = {s8_block_1x2, s8_block_2x2, s8_block_3x2, s8_block_4x2, s8_block_5x2};    \
        (void)vectors;                                                                                                 \
        return blocks[rows - 1];                                                                                       \
    }
#else
#define S8_BLOCK_FUNCTIONS                                                                                             \
    S8_BLOCK_FUNCTION(2, 4)                                                                                            \
    S8_INLINE s8_block_fn s8_find_block(int rows, int vectors) {                                                       \
        (void)rows;                                                                                                    \
        (void)vectors;                                                                                                 \
        return s8_block_2x4;                                                                                           \
    }
#endif
#endif

#endif
