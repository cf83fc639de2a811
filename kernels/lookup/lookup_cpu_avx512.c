/* lookup_s8 by permutations of words, each of which holds two neighbouring entries: the index without its last bit
 * finds the word, its last bit the byte. Bytes in even places are looked up apart from those in odd ones. */
#include <immintrin.h>

#include "lookup/lookup_body.h"

enum { WIDTH = 64, PAIRS = 32 };

/* The words of the bytes with index 2 * (at % 128) and one more, `upper`: of the upper half of the table. */
static inline __m512i words(const __m512i *part, __m512i at, __mmask32 upper) {
    const __m512i low = _mm512_permutex2var_epi16(part[0], at, part[1]);
    return _mm512_mask_blend_epi16(upper, low, _mm512_permutex2var_epi16(part[2], at, part[3]));
}

static inline __m512i translated(const __m512i *part, __m512i x) {
    const __m512i even = _mm512_set1_epi16(0xff), first = _mm512_set1_epi16(1), top = _mm512_set1_epi16(0x80);
    const __m512i right = words(part, _mm512_srli_epi16(x, 1), _mm512_test_epi16_mask(x, top));
    const __m512i left = words(part, _mm512_srli_epi16(x, 9), _mm512_movepi16_mask(x));
    const __m512i odd_right = _mm512_slli_epi16(_mm512_and_si512(x, first), 3);
    const __m512i even_left = _mm512_slli_epi16(_mm512_andnot_si512(_mm512_srli_epi16(x, 8), first), 3);
    /* bits of `even` from the one, all others from the other */
    return _mm512_ternarylogic_epi32(even, _mm512_srlv_epi16(right, odd_right), _mm512_sllv_epi16(left, even_left),
                                     0xca);
}

static void translate(int8_t *y, const int8_t *x, int64_t n, const int8_t *table) {
    __m512i part[4]; /* those of 0 and up first, then those of -128 and up */
    for (int k = 0; k < 4; k++) part[k] = _mm512_loadu_si512(table + (2 * PAIRS * k + 128) % 256);
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) _mm512_storeu_si512(y + i, translated(part, _mm512_loadu_si512(x + i)));
    if (i < n) {
        const __mmask64 some = ~(__mmask64)0 >> (WIDTH - (n - i));
        _mm512_mask_storeu_epi8(y + i, some, translated(part, _mm512_maskz_loadu_epi8(some, x + i)));
    }
}

LOOKUP_S8(translate)
