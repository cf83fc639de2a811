/* lookup_s8 by byte shuffles. A shuffle looks up the low four bits, and gives 0 where the sign is set. Row k of a half
 * of the table is kept as its difference (by exclusive or) from row k - 1: after k subtractions of 16, indices in row k
 * or behind are still positive and take it, and what they have taken adds up to the entry of their own row. Indices of
 * the other half are negative from the start, and stay so as the subtraction saturates. */
#include <immintrin.h>

#include "lookup/lookup_body.h"

enum { WIDTH = 32, VECTORS = 4, ROWS = 16, ROW = 16 };

static void translate(int8_t *y, const int8_t *x, int64_t n, const int8_t *table) {
    __m256i rows[ROWS]; /* those of 0 and up first, then those of -128 and up */
    __m128i before = _mm_setzero_si128();
    for (int k = 0; k < ROWS; k++) {
        const __m128i row = _mm_loadu_si128((const __m128i *)(table + (k * ROW + 128) % 256));
        if (k == ROWS / 2) before = _mm_setzero_si128();
        rows[k] = _mm256_broadcastsi128_si256(_mm_xor_si128(row, before));
        before = row;
    }
    const __m256i sixteen = _mm256_set1_epi8(ROW), sign = _mm256_set1_epi8(INT8_MIN);
    int64_t i = 0;
    for (; i + VECTORS * WIDTH <= n; i += VECTORS * WIDTH) {
        __m256i left[VECTORS], found[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            left[v] = _mm256_loadu_si256((const __m256i *)(x + i + v * WIDTH));
            found[v] = _mm256_setzero_si256();
        }
        for (int half = 0; half < 2; half++) {
#pragma GCC unroll 8
            for (int k = 0; k < ROWS / 2; k++) {
                const __m256i row = rows[half * ROWS / 2 + k];
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; v++) {
                    found[v] = _mm256_xor_si256(found[v], _mm256_shuffle_epi8(row, left[v]));
                    left[v] = _mm256_subs_epi8(left[v], sixteen);
                }
            }
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++)
                left[v] = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(x + i + v * WIDTH)), sign);
        }
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) _mm256_storeu_si256((__m256i *)(y + i + v * WIDTH), found[v]);
    }
    lookup_each(y + i, x + i, n - i, table);
}

LOOKUP_S8(translate)
