/* Activations of results that become bfloat16, which rounds by up to 2e-3 of them: shorter than those of vmath.h, and
 * as far off as said, or short enough to be done in registers. Others are those of activation.h. */
#ifndef INGOT_BF16_ACTIVATION_H
#define INGOT_BF16_ACTIVATION_H

#include "activation.h"
#include "vec16.h"

/* Within 1.5e-4: the normal distribution less a half is an odd polynomial over [-4, 4], which meets 0 and 1 at its
 * ends.
 */
INGOT_INLINE v16 bf16_gelu(v16 x) {
    const v16 a = v16_min(v16_set1(4.0f), v16_max(v16_set1(-4.0f), x)), square = v16_mul(a, a);
    v16 p = v16_fma(v16_set1(-3.84865556e-10f), square, v16_set1(4.71690598e-8f));
    p = v16_fma(p, square, v16_set1(-2.22414315e-6f));
    p = v16_fma(p, square, v16_set1(5.62639179e-5f));
    p = v16_fma(p, square, v16_set1(-8.74585356e-4f));
    p = v16_fma(p, square, v16_set1(9.00810771e-3f));
    p = v16_fma(p, square, v16_set1(-6.50067925e-2f));
    p = v16_fma(p, square, v16_set1(3.98151934e-1f));
    p = v16_min(v16_set1(1.0f), v16_max(v16_zero(), v16_fma(p, a, v16_set1(0.5f))));
    return v16_mul(x, p);
}

#ifdef __AVX512F__
/* Within 2e-4 of the result: e^-x by a cubic, and a reciprocal of 14 bits. */
INGOT_INLINE v16 bf16_silu(v16 x) {
    const v16 t = v16_min(v16_set1(130.0f), v16_max(v16_set1(-126.0f), v16_mul(x, v16_set1(-1.44269504f))));
    const v16 n = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), f = _mm512_sub_ps(t, n);
    v16 p = v16_fma(v16_set1(0.0551716668f), f, v16_set1(0.242611135f));
    p = v16_fma(p, f, v16_set1(0.693260987f));
    p = v16_fma(p, f, v16_set1(0.999928073f));
    return v16_mul(x, _mm512_rcp14_ps(v16_add(v16_set1(1.0f), _mm512_scalef_ps(p, n))));
}
#endif

/* Whether there is a form for registers. */
static inline int bf16_activates(const ingot_activation *activation) {
    switch (activation->kind) {
#ifdef __AVX512F__
    case INGOT_ACT_SILU:
#endif
    case INGOT_ACT_HARD_SIGMOID:
    case INGOT_ACT_HARD_SWISH:
    case INGOT_ACT_GELU: return 1;
    default: return 0;
    }
}

INGOT_INLINE v16 bf16_activate(const ingot_activation *activation, v16 x) {
    switch (activation->kind) {
#ifdef __AVX512F__
    case INGOT_ACT_SILU: return bf16_silu(x);
#endif
    case INGOT_ACT_HARD_SIGMOID: return v16_hard_sigmoid(x, activation->alpha, activation->beta);
    case INGOT_ACT_HARD_SWISH: return v16_hard_swish(x);
    default: return bf16_gelu(x);
    }
}

#endif
