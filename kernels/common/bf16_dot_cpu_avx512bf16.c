/* vdpbf16ps: 10 x 32 as the float32 micro-kernel has, at twice its rate. */
#include "vec16.h"

#define BF16_ROWS 10
#define BF16_PANELS 2

typedef v16 bf16_sums;
#define bf16_zero v16_zero
#define bf16_add v16_add
#define bf16_store v16_store
INGOT_INLINE bf16_sums bf16_dot(bf16_sums sums, const uint16_t *pair, const uint16_t *weights) {
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return _mm512_dpbf16_ps(sums, (__m512bh)_mm512_set1_epi32(both), (__m512bh)_mm512_loadu_si512(weights));
}
INGOT_INLINE v8 bf16_dot_low(v8 sums, const uint16_t *pair, const uint16_t *weights) {
    int32_t both;
    memcpy(&both, pair, sizeof both);
    const __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)weights);
    return _mm256_dpbf16_ps(sums, (__m256bh)_mm256_set1_epi32(both), (__m256bh)w);
}

#include "bf16_dot_impl.h"
