/* What the kernels of recurrent layers in float32 share: operands, packed weights, activations. */
#ifndef INGOT_CUDA_RECURRENT_FLOAT_H
#define INGOT_CUDA_RECURRENT_FLOAT_H

#include "cuda_products.h"
#include "recurrent/cuda_recurrent.h"

namespace ingot {

enum { REC_X, REC_W, REC_R, REC_BIAS, REC_LENS, REC_H0, REC_C0, REC_PEEPHOLES, REC_Y };

/* Weights of one direction as packed for the CPU: [panels][n][16], or in steps of two for half. */
template <class T> struct recurrent_packed {
    static constexpr bool is_plain = false;
    static constexpr int together = sizeof(T) == 4 ? 8 : 4; /* loads under way */
    const T *at;
    int64_t size; /* of a panel */

    DEVICE recurrent_packed(const ingot_cuda_arg &w, const recurrent_extents &, int32_t direction)
        : at(panel_at<T>(w, direction)), size((int64_t)w.dims[2] * w.dims[3]) {}
    struct columns {
        panels<T> at;
        DEVICE four<float> operator()(int32_t k) const { return at(k, 0, k); }
    };
    DEVICE columns panel(int32_t panel, int32_t column) const { return {panels<T>(at + panel * size, column)}; }
};

/* Exact to some 1e-7 absolutely, as those of recurrent_math.h, and shorter on this machine: steps wait for them. */
DEVICE float recurrent_short_sigmoid(float x) { return reciprocal_fast(1.0f + exp2_fast(-1.44269504088896341f * x)); }
DEVICE float recurrent_short_tanh(float x) {
    return 1.0f - 2.0f * reciprocal_fast(1.0f + exp2_fast(2.0f * 1.44269504088896341f * x));
}

} // namespace ingot

#endif
