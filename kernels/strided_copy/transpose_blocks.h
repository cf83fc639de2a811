/* Transposes of small squares of 4-byte elements in registers: out[i][j] = in[j][i]. */
#ifndef INGOT_TRANSPOSE_BLOCKS_H
#define INGOT_TRANSPOSE_BLOCKS_H

#include <stdint.h>

typedef uint32_t block4 __attribute__((vector_size(16)));
typedef uint32_t block4_any __attribute__((vector_size(16), aligned(1), may_alias));

static inline void transpose_4x4(const void *in, int64_t in_step, void *out, int64_t out_step) {
    block4 v[4];
    for (int j = 0; j < 4; j++) {
        v[j] = *(const block4_any *)((const char *)in + j * in_step * 4);
    }
    block4 even_low = __builtin_shufflevector(v[0], v[2], 0, 4, 1, 5);
    block4 even_high = __builtin_shufflevector(v[0], v[2], 2, 6, 3, 7);
    block4 odd_low = __builtin_shufflevector(v[1], v[3], 0, 4, 1, 5);
    block4 odd_high = __builtin_shufflevector(v[1], v[3], 2, 6, 3, 7);
    v[0] = __builtin_shufflevector(even_low, odd_low, 0, 4, 1, 5);
    v[1] = __builtin_shufflevector(even_low, odd_low, 2, 6, 3, 7);
    v[2] = __builtin_shufflevector(even_high, odd_high, 0, 4, 1, 5);
    v[3] = __builtin_shufflevector(even_high, odd_high, 2, 6, 3, 7);
    for (int i = 0; i < 4; i++) {
        *(block4_any *)((char *)out + i * out_step * 4) = v[i];
    }
}

#ifdef INGOT_ISA_avx2
typedef uint32_t block8 __attribute__((vector_size(32)));
typedef uint32_t block8_any __attribute__((vector_size(32), aligned(1), may_alias));

static inline void transpose_8x8(const void *in, int64_t in_step, void *out, int64_t out_step) {
    block8 v[8], w[8];
    for (int j = 0; j < 8; j++) {
        v[j] = *(const block8_any *)((const char *)in + j * in_step * 4);
    }
    for (int j = 0; j < 4; j++) { /* halves of lines 4 apart, so that the rest stays within 128 bits */
        w[j] = __builtin_shufflevector(v[j], v[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        w[j + 4] = __builtin_shufflevector(v[j], v[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (int j = 0; j < 8; j += 4) {
        for (int k = 0; k < 2; k++) {
            v[j + 2 * k] = __builtin_shufflevector(w[j + k], w[j + k + 2], 0, 8, 1, 9, 4, 12, 5, 13);
            v[j + 2 * k + 1] = __builtin_shufflevector(w[j + k], w[j + k + 2], 2, 10, 3, 11, 6, 14, 7, 15);
        }
        w[j] = __builtin_shufflevector(v[j], v[j + 2], 0, 8, 1, 9, 4, 12, 5, 13);
        w[j + 1] = __builtin_shufflevector(v[j], v[j + 2], 2, 10, 3, 11, 6, 14, 7, 15);
        w[j + 2] = __builtin_shufflevector(v[j + 1], v[j + 3], 0, 8, 1, 9, 4, 12, 5, 13);
        w[j + 3] = __builtin_shufflevector(v[j + 1], v[j + 3], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i++) {
        *(block8_any *)((char *)out + i * out_step * 4) = w[i];
    }
}
#endif

#if defined(__SSSE3__) || defined(__aarch64__) /* there are shuffles of bytes */
#define INGOT_HAVE_JOIN_16X3
typedef uint8_t block16 __attribute__((vector_size(16)));
typedef uint8_t block16_any __attribute__((vector_size(16), aligned(1), may_alias));

/* Sixteen bytes of each of three planes to pixels: the first two planes, then the third in the gaps. */
static inline void join_16x3(const uint8_t *in, int64_t in_step, uint8_t *out) {
    const block16 a = *(const block16_any *)in, b = *(const block16_any *)(in + in_step);
    const block16 c = *(const block16_any *)(in + 2 * in_step);
    const block16 both_0 = __builtin_shufflevector(a, b, 0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5);
    const block16 both_1 = __builtin_shufflevector(a, b, 21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26);
    const block16 both_2 = __builtin_shufflevector(a, b, 0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0);
    *(block16_any *)(out + 0) =
        __builtin_shufflevector(both_0, c, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15);
    *(block16_any *)(out + 16) =
        __builtin_shufflevector(both_1, c, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15);
    *(block16_any *)(out + 32) =
        __builtin_shufflevector(both_2, c, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31);
}
#endif

#endif
