/* Body of ingot_activate_rest, compiled for each base instruction set. */
#include "activation.h"
#include "loop.h"
#include "vec16.h"

#define INGOT_CASE(kind, call)                                                                                         \
    case kind:                                                                                                         \
        INGOT_VECTOR_LOOP                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const float v = x[i];                                                                                      \
            y[i] = call;                                                                                               \
        }                                                                                                              \
        return;

/* The same with sixteen lanes at once: of a product with a clip compilers make a choice of products. */
#define INGOT_CASE_16(kind, call)                                                                                      \
    case kind:                                                                                                         \
        for (int64_t i = 0; i < n; i += INGOT_LANES) {                                                                 \
            const v16 v = v16_load(x + i);                                                                             \
            v16_store(y + i, call);                                                                                    \
        }                                                                                                              \
        return;

/* n is a multiple of INGOT_LANES, so the loops have no scalar tail. */
static void activate_lanes(const ingot_activation *activation, float *y, const float *x, int64_t n) {
    const float alpha = activation->alpha, beta = activation->beta;
    n = INGOT_WHOLE_LANES(n);
    switch (activation->kind) {
        INGOT_CASE(INGOT_ACT_RELU, ingot_relu_f32(v))
        INGOT_CASE(INGOT_ACT_CLIP, ingot_clip_f32(v, alpha, beta))
        INGOT_CASE(INGOT_ACT_LEAKY_RELU, ingot_leaky_relu_f32(v, alpha))
        INGOT_CASE(INGOT_ACT_SIGMOID, ingot_sigmoid_f32(v))
        INGOT_CASE(INGOT_ACT_TANH, ingot_tanh_f32(v))
        INGOT_CASE(INGOT_ACT_SILU, ingot_silu_f32(v))
        INGOT_CASE(INGOT_ACT_ELU, ingot_elu_f32(v, alpha))
        INGOT_CASE_16(INGOT_ACT_HARD_SIGMOID, v16_hard_sigmoid(v, alpha, beta))
        INGOT_CASE_16(INGOT_ACT_HARD_SWISH, v16_hard_swish(v))
        INGOT_CASE(INGOT_ACT_GELU, ingot_gelu_f32(v))
        INGOT_CASE(INGOT_ACT_GELU_TANH, ingot_gelu_tanh_f32(v))
        INGOT_CASE(INGOT_ACT_SOFTPLUS, ingot_softplus_f32(v))
        INGOT_CASE(INGOT_ACT_MISH, ingot_mish_f32(v))
        INGOT_CASE(INGOT_ACT_SOFTSIGN, ingot_softsign_f32(v))
        INGOT_CASE(INGOT_ACT_SELU, ingot_selu_f32(v, alpha, beta))
        INGOT_CASE(INGOT_ACT_CELU, ingot_celu_f32(v, alpha))
        INGOT_CASE(INGOT_ACT_THRESHOLDED_RELU, ingot_thresholded_relu_f32(v, alpha))
        INGOT_CASE(INGOT_ACT_SWISH, ingot_swish_f32(v, alpha))
    default: return;
    }
}

void INGOT_ACTIVATE_REST(const ingot_activation *activation, float *y, const float *x, int64_t n) {
    const int64_t whole = INGOT_WHOLE_LANES(n);
    if (whole) activate_lanes(activation, y, x, whole);
    if (whole == n) return;
    float tail[INGOT_LANES] = {0};
    memcpy(tail, x + whole, (size_t)(n - whole) * sizeof *x);
    activate_lanes(activation, tail, tail, INGOT_LANES);
    memcpy(y + whole, tail, (size_t)(n - whole) * sizeof *y);
}
