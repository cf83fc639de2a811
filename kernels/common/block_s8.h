/* Blocks of 32 int8 numbers in registers, by the vector extension that gcc and clang share. For the files of
 * instruction sets; portable code has plain loops. */
#ifndef INGOT_BLOCK_S8_H
#define INGOT_BLOCK_S8_H

#include <string.h>

#include "store_s8.h"
#include "vec16.h" /* INGOT_INLINE */

typedef int8_t ingot_half_s8 __attribute__((vector_size(16)));
typedef int16_t ingot_half_s16 __attribute__((vector_size(32)));
typedef int8_t ingot_block_s8 __attribute__((vector_size(32)));

/* n < 32 numbers are copied to where 32 can be read. */
INGOT_INLINE ingot_block_s8 ingot_block_load(const int8_t *p, int64_t n) {
    ingot_block_s8 block = {0};
    if (n >= INGOT_S8_SUMS) {
        memcpy(&block, p, sizeof block);
    } else {
        memcpy(&block, p, (size_t)n);
    }
    return block;
}

INGOT_INLINE ingot_block_s8 ingot_block_max(ingot_block_s8 a, ingot_block_s8 b) {
#if defined(__AVX2__)
    return (ingot_block_s8)_mm256_max_epi8((__m256i)a, (__m256i)b);
#else
    const ingot_block_s8 larger = a > b;
    return (a & larger) | (b & ~larger);
#endif
}

/* Sums of 32 columns, of up to 256 numbers each: they fit int16. */
typedef struct ingot_block_sums {
    ingot_half_s16 half[2];
} ingot_block_sums;

enum { INGOT_BLOCK_ROWS = 256 };

/* gcc makes ten instructions of the conversion where there is one. */
#if defined(__AVX2__)
#define INGOT_WIDEN(half) ((ingot_half_s16)_mm256_cvtepi8_epi16((__m128i)(half)))
#else
#define INGOT_WIDEN(half) __builtin_convertvector(half, ingot_half_s16)
#endif

INGOT_INLINE void ingot_block_add(ingot_block_sums *sums, ingot_block_s8 x) {
    ingot_half_s8 half[2];
    memcpy(half, &x, sizeof half);
    sums->half[0] += INGOT_WIDEN(half[0]);
    sums->half[1] += INGOT_WIDEN(half[1]);
}

INGOT_INLINE void ingot_block_flush(const ingot_block_sums *sums, int32_t total[INGOT_S8_SUMS]) {
    int16_t part[INGOT_S8_SUMS];
    memcpy(part, sums->half, sizeof part);
    for (int j = 0; j < INGOT_S8_SUMS; j++) total[j] += part[j];
}

#endif
