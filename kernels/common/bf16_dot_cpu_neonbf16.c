/* bfdot: 5 x 16, as the float32 micro-kernel has. */
#include "vec16.h"

#define BF16_ROWS 5
#define BF16_PANELS 1

typedef v16 bf16_sums;
#define bf16_zero v16_zero
#define bf16_add v16_add
#define bf16_store v16_store
INGOT_INLINE bf16_sums bf16_dot(bf16_sums sums, const uint16_t *pair, const uint16_t *weights) {
    uint32_t both;
    memcpy(&both, pair, sizeof both);
    const bfloat16x8_t x = vreinterpretq_bf16_u32(vdupq_n_u32(both));
    for (int i = 0; i < V16_PARTS; i++) {
        const bfloat16x8_t w = vreinterpretq_bf16_u16(vld1q_u16(weights + 8 * i));
        sums.part[i] = vbfdotq_f32(sums.part[i], x, w);
    }
    return sums;
}

#include "bf16_dot_impl.h"
