/* What the kernels of recurrent layers in float32 share: operands, packed weights, activations. */
#ifndef INGOT_CUDA_RECURRENT_FLOAT_H
#define INGOT_CUDA_RECURRENT_FLOAT_H

#include "cuda_products.h"
#include "recurrent/cuda_recurrent.h"

namespace ingot {

enum { REC_X, REC_W, REC_R, REC_BIAS, REC_LENS, REC_H0, REC_C0, REC_PEEPHOLES, REC_Y };

/* Weights of one direction as packed for the CPU: [panels][n][16], or in steps of two for half.
 *
 * `panel` gives columns(k), four from that one on; `together`: how many of them are under way for so many rows. */
template <class T> struct recurrent_packed {
    static constexpr bool is_plain = false;
    static constexpr int together(int rows) {
        return rows > 4 ? (sizeof(T) == 4 ? 2 : 1) : rows > 1 || sizeof(T) == 2 ? 4 : 8;
    }
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

/* end(row, first of four columns, sums of row . weights) for panels [panel, last), by WARPS warps. Rows are elements of
 * x from `at` on; zeros where that is negative. */
template <int WARPS, int COUNT, class Weights, class End>
DEVICE void recurrent_multiply(const Weights &w, const float *x, const int32_t (&at)[COUNT], int32_t n, int32_t panel,
                               int32_t last, const End &end) {
    const int lane = threadIdx.x % 32;
    for (panel += threadIdx.x / 32; panel < last; panel += WARPS) {
        const auto columns = w.panel(panel, lane % 4 * 4);
        float sum[COUNT][4] = {};
#pragma unroll(Weights::together(COUNT))
        for (int32_t k = lane / 4; k < n; k += 8) {
            const four<float> f = columns(k);
#pragma unroll
            for (int r = 0; r < COUNT; r++) {
                const float v = at[r] >= 0 ? x[at[r] + k] : 0.0f;
#pragma unroll
                for (int i = 0; i < 4; i++) sum[r][i] += v * f.at[i];
            }
        }
#pragma unroll
        for (int r = 0; r < COUNT; r++) {
#pragma unroll
            for (int i = 0; i < 4; i++) sum[r][i] = recurrent_join(sum[r][i]);
            if (lane / 4 == r % 8) end(r, panel * 16 + lane % 4 * 4, sum[r]);
        }
    }
}

/* Exact to some 1e-7 absolutely, as those of recurrent_math.h, and shorter on this machine: steps wait for them. */
DEVICE float recurrent_short_sigmoid(float x) { return reciprocal_fast(1.0f + exp2_fast(-1.44269504088896341f * x)); }
DEVICE float recurrent_short_tanh(float x) {
    return 1.0f - 2.0f * reciprocal_fast(1.0f + exp2_fast(2.0f * 1.44269504088896341f * x));
}

} // namespace ingot

#endif
