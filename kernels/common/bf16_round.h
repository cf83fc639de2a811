/* Sixteen floats, or the first n, stored as bfloat16 where products of it are an instruction: that may take subnormal
 * numbers for zeros, as products do. */
#ifndef INGOT_BF16_ROUND_H
#define INGOT_BF16_ROUND_H

#include "vec16_half.h"

#ifdef __AVX512BF16__
INGOT_INLINE void bf16_round(uint16_t *to, v16 x) {
    _mm256_storeu_si256((__m256i *)(void *)to, (__m256i)_mm512_cvtneps_pbh(x));
}
INGOT_INLINE void bf16_round_n(uint16_t *to, v16 x, int64_t n) {
    _mm256_mask_storeu_epi16(to, (__mmask16)((1u << n) - 1u), (__m256i)_mm512_cvtneps_pbh(x));
}
#else
INGOT_INLINE void bf16_round(uint16_t *to, v16 x) { v16_narrow(INGOT_BF16, to, x); }
INGOT_INLINE void bf16_round_n(uint16_t *to, v16 x, int64_t n) { v16_narrow_n(INGOT_BF16, to, x, n); }
#endif

#endif
