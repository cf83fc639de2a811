/* Body of ingot_activate_rest, compiled for each base instruction set. */
#include "activation.h"

#define INGOT_CASE(kind, call)                                                                                         \
    case kind:                                                                                                         \
        for (int64_t i = 0; i < n; i++) x[i] = call;                                                                   \
        return;

void INGOT_ACTIVATE_REST(const ingot_activation *activation, float *x, int64_t n) {
    const float alpha = activation->alpha, beta = activation->beta;
    switch (activation->kind) {
        INGOT_CASE(INGOT_ACT_LEAKY_RELU, ingot_leaky_relu_f32(x[i], alpha))
        INGOT_CASE(INGOT_ACT_SIGMOID, ingot_sigmoid_f32(x[i]))
        INGOT_CASE(INGOT_ACT_TANH, ingot_tanh_f32(x[i]))
        INGOT_CASE(INGOT_ACT_SILU, ingot_silu_f32(x[i]))
        INGOT_CASE(INGOT_ACT_ELU, ingot_elu_f32(x[i], alpha))
        INGOT_CASE(INGOT_ACT_HARD_SIGMOID, ingot_hard_sigmoid_f32(x[i], alpha, beta))
        INGOT_CASE(INGOT_ACT_HARD_SWISH, ingot_hard_swish_f32(x[i]))
        INGOT_CASE(INGOT_ACT_GELU, ingot_gelu_f32(x[i]))
        INGOT_CASE(INGOT_ACT_GELU_TANH, ingot_gelu_tanh_f32(x[i]))
        INGOT_CASE(INGOT_ACT_SOFTPLUS, ingot_softplus_f32(x[i]))
        INGOT_CASE(INGOT_ACT_MISH, ingot_mish_f32(x[i]))
        INGOT_CASE(INGOT_ACT_SOFTSIGN, ingot_softsign_f32(x[i]))
        INGOT_CASE(INGOT_ACT_SELU, ingot_selu_f32(x[i], alpha, beta))
        INGOT_CASE(INGOT_ACT_CELU, ingot_celu_f32(x[i], alpha))
        INGOT_CASE(INGOT_ACT_THRESHOLDED_RELU, ingot_thresholded_relu_f32(x[i], alpha))
        INGOT_CASE(INGOT_ACT_SWISH, ingot_swish_f32(x[i], alpha))
    default: return;
    }
}
