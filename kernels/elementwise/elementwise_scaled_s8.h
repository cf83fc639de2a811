/* The program of ew_scaled in one loop, for each instruction set: the operations of its instructions, in their order.
 */
#ifndef INGOT_ELEMENTWISE_SCALED_S8_H
#define INGOT_ELEMENTWISE_SCALED_S8_H

#include "elementwise_kernel.h"

#if defined(INGOT_ISA_portable)
#include "elementwise_scalar.h"

static void ew_scaled_s8(const ew_scaled *scaled, const ingot_ew_insn *insns, void *const *operand, int64_t n) {
    const int8_t *const x = operand[scaled->x];
    const float *const factor = operand[scaled->factor], *const term = operand[scaled->term];
    const ingot_ew_insn *to = &insns[3 + scaled->relu];
    int8_t *const y = operand[EW_OUTPUT];
    for (int64_t i = 0; i < n; i++) {
        float v = ((float)x[i] - insns->beta) * insns->alpha * factor[i] + term[i];
        v = scaled->relu && v < 0.0f ? 0.0f : v;
        y[i] = ew_s8_of_f32(v * to->alpha, to->beta);
    }
}
#else
#include "lanes_s8.h"

typedef struct ew_scaled_numbers {
    w16 from_zero, to_zero;
    v16 from_scale, to_scale, lowest, lo, hi;
    w16_bounds bounds;
} ew_scaled_numbers;

/* Sixteen whole numbers to which the zero point is still to be added. */
INGOT_INLINE w16 ew_scaled_lanes(const ew_scaled_numbers *c, const int8_t *x, const float *factor, const float *term) {
    const v16 v = v16_mul(w16_real(w16_add(w16_load_bytes(x, 16), c->from_zero)), c->from_scale);
    const v16 sum = v16_max(c->lowest, v16_add(v16_mul(v, v16_load(factor)), v16_load(term)));
    return w16_round(v16_min(c->hi, v16_max(c->lo, v16_mul(sum, c->to_scale))));
}

#if defined(__AVX512F__)
/* Behind a ReLU: its 0 is not below the least number, and what a NaN becomes. */
INGOT_INLINE w16 ew_scaled_relu(const ew_scaled_numbers *c, const int8_t *x, const float *factor, const float *term) {
    const v16 v = v16_mul(w16_real(w16_add(w16_load_bytes(x, 16), c->from_zero)), c->from_scale);
    const v16 sum = v16_mul(v16_add(v16_mul(v, v16_load(factor)), v16_load(term)), c->to_scale);
    return w16_nearest(v16_min(c->hi, _mm512_max_ps(sum, v16_zero())));
}

/* All of a block but less than 64 elements: how many. */
INGOT_INLINE int64_t ew_scaled_64(const ew_scaled_numbers *c, int8_t *y, const int8_t *x, const float *factor,
                                  const float *term, int64_t n, const int relu) {
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        w16 four[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            const int64_t at = i + 16 * j;
            four[j] = relu ? ew_scaled_relu(c, x + at, factor + at, term + at)
                           : ew_scaled_lanes(c, x + at, factor + at, term + at);
        }
        _mm512_storeu_si512(y + i, w16_pack_in_order_(four, &c->bounds));
    }
    return i;
}
#endif

/* n is a multiple of 16. */
static void ew_scaled_s8(const ew_scaled *scaled, const ingot_ew_insn *insns, void *const *operand, int64_t n) {
    const int8_t *const x = operand[scaled->x];
    const float *const factor = operand[scaled->factor], *const term = operand[scaled->term];
    const ingot_ew_insn *to = &insns[3 + scaled->relu];
    int8_t *const y = operand[EW_OUTPUT];
    const ew_scaled_numbers c = {
        .from_zero = w16_set1(-(int32_t)insns->beta),
        .to_zero = w16_set1((int32_t)to->beta),
        .from_scale = v16_set1(insns->alpha),
        .to_scale = v16_set1(to->alpha),
        .lowest = v16_set1(scaled->relu ? 0.0f : -__builtin_inff()),
        .lo = v16_set1(-128.0f - to->beta),
        .hi = v16_set1(127.0f - to->beta),
        .bounds = w16_bounds_of((int32_t)to->beta, INT8_MIN, INT8_MAX),
    };
    int64_t i = 0;
#if defined(__AVX512F__)
    i = scaled->relu ? ew_scaled_64(&c, y, x, factor, term, n, 1) : ew_scaled_64(&c, y, x, factor, term, n, 0);
#endif
    for (; i < n; i += 16)
        w16_store_bytes(y + i, w16_add(ew_scaled_lanes(&c, x + i, factor + i, term + i), c.to_zero), 16);
}
#endif

#endif
