/* What CUDA kernels do with sums before they store them: activation, the end of INT8 sums, storing four at a time. */
#ifndef INGOT_CUDA_EPILOGUE_H
#define INGOT_CUDA_EPILOGUE_H

#include "activation.h"
#include "cuda_device.h"
#include "numbers_s8.h"

namespace ingot {

/* ingot_dtype, as far as kernels ask for it at run time. */
enum { DTYPE_NONE = 0, DTYPE_F32 = 1, DTYPE_F16 = 3, DTYPE_BF16 = 4, DTYPE_I8 = 5, DTYPE_I32 = 7 };

/* -- activation -------------------------------------------------------------------------------------------------------
 * KIND is an ingot_activation_kind; 0 stands for none, relu and clip, which differ in bounds alone. */

template <int KIND> struct activation {
    float lo, hi, alpha, beta;

    DEVICE explicit activation(const ingot_activation &a) {
        const bool clip = a.kind == INGOT_ACT_CLIP;
        lo = a.kind == INGOT_ACT_RELU ? 0.0f : clip && a.alpha == a.alpha ? a.alpha : -__builtin_inff();
        hi = clip && a.beta == a.beta ? a.beta : __builtin_inff();
        alpha = a.alpha;
        beta = a.beta;
    }

    DEVICE float operator()(float x) const {
        switch (KIND) { /* a constant */
        case INGOT_ACT_LEAKY_RELU: return ingot_leaky_relu_f32(x, alpha);
        case INGOT_ACT_SIGMOID: return ingot_sigmoid_f32(x);
        case INGOT_ACT_TANH: return ingot_tanh_f32(x);
        case INGOT_ACT_SILU: return ingot_silu_f32(x);
        case INGOT_ACT_ELU: return ingot_elu_f32(x, alpha);
        case INGOT_ACT_HARD_SIGMOID: return ingot_hard_sigmoid_f32(x, alpha, beta);
        case INGOT_ACT_HARD_SWISH: return ingot_hard_swish_f32(x);
        case INGOT_ACT_GELU: return ingot_gelu_f32(x);
        case INGOT_ACT_GELU_TANH: return ingot_gelu_tanh_f32(x);
        case INGOT_ACT_SOFTPLUS: return ingot_softplus_f32(x);
        case INGOT_ACT_MISH: return ingot_mish_f32(x);
        case INGOT_ACT_SOFTSIGN: return ingot_softsign_f32(x);
        case INGOT_ACT_SELU: return ingot_selu_f32(x, alpha, beta);
        case INGOT_ACT_CELU: return ingot_celu_f32(x, alpha);
        case INGOT_ACT_THRESHOLDED_RELU: return ingot_thresholded_relu_f32(x, alpha);
        case INGOT_ACT_SWISH: return ingot_swish_f32(x, alpha);
        default: return ingot_clip_f32(x, lo, hi); /* -0 stays: a maximum of zeros would not tell which */
        }
    }
};

/* -- the end of INT8 sums: gemm_s8.h has the formulas
 * ------------------------------------------------------------------ */

/* Added to an int8, which then is the low bits of a float32: a byte moved is converted in less time. */
constexpr int32_t RAISED = (1 << 23) + 128;

struct end_s8 {
    ingot_requantize q;
    ingot_requantize_fast fast;
    float residual_scale, residual_zero; /* the latter raised as residuals are */

    DEVICE end_s8() {} /* to be set */
    DEVICE end_s8(const ingot_s8_numbers &n, const ingot_activation &a) : q(ingot_s8_requantize(&n, &a)) {
        fast = ingot_requantize_prepare(&q);
        residual_scale = n.residual_scale;
        residual_zero = (float)(n.residual_zero + RAISED);
    }
    DEVICE float scaled(int32_t sum, float scale, float bias) const { return fma_f32((float)sum, scale, bias); }
    /* `residual` is an int8; the difference of two is exact in float32, raised or not. */
    DEVICE float with_raised_residual(float x, float residual) const {
        return fma_f32(residual - residual_zero, residual_scale, x);
    }
    DEVICE float with_residual(float x, int8_t residual) const {
        return with_raised_residual(x, (float)(residual + RAISED));
    }
    /* The bits of ingot_requantize_s8. */
    DEVICE int32_t whole(float x) const {
        return nearest_s32(min_or_nan(max_or_nan(x * fast.scale, fast.lo), fast.hi)) + fast.zero;
    }
    DEVICE int8_t stored(float x) const { return (int8_t)whole(x); }
    DEVICE uint32_t stored4(float a, float b, float c, float d) const {
        return pack4_s8(whole(a), whole(b), whole(c), whole(d));
    }
    DEVICE float real(float x) const { return ingot_clamp_f32(&q, x); }
};

/* A column of INT8 sums: what undoes the zero point of the input and adds a bias of integers, and what follows it. */
struct column_s8 {
    uint32_t offset;
    float scale, bias;

    /* `sums`, `scales` and `biases` are operands of one number a column; `row` is that of sums. */
    DEVICE column_s8(const ingot_cuda_arg &biases, const ingot_cuda_arg &sums, const ingot_cuda_arg &scales,
                     int32_t input_zero, int64_t row, int64_t column) {
        const int32_t sum = static_cast<const int32_t *>(sums.data)[row * sums.pitch + column];
        offset = (uint32_t)sum * (0u - (uint32_t)input_zero);
        scale = static_cast<const float *>(scales.data)[column];
        bias = 0.0f;
        if (biases.dtype == DTYPE_I32) {
            offset += static_cast<const uint32_t *>(biases.data)[column];
        } else if (biases.dtype != DTYPE_NONE) {
            bias = static_cast<const float *>(biases.data)[column];
        }
    }
};

/* -- elements of operands whose type is known at run time
 * --------------------------------------------------------------- */

/* A number of float32, float16 or bfloat16. */
DEVICE float load_real(const ingot_cuda_arg &a, int64_t at) {
    if (a.dtype == DTYPE_F32) return static_cast<const float *>(a.data)[at];
    if (a.dtype == DTYPE_F16) return to_float(static_cast<const f16 *>(a.data)[at]);
    return to_float(static_cast<const bf16 *>(a.data)[at]);
}

DEVICE void store_real(const ingot_cuda_arg &a, int64_t at, float x) {
    if (a.dtype == DTYPE_F32) {
        static_cast<float *>(a.data)[at] = x;
    } else if (a.dtype == DTYPE_F16) {
        static_cast<f16 *>(a.data)[at] = from_float<f16>(x);
    } else {
        static_cast<bf16 *>(a.data)[at] = from_float<bf16>(x);
    }
}

/* -- four neighbours at a time
 * -------------------------------------------------------------------------------------------- */

template <class T> struct alignas(4 * sizeof(T)) four { T at[4]; };

/* Whether rows of an operand can be read in fours: base and pitch are multiples of four elements. */
template <class T> DEVICE bool in_fours(const ingot_cuda_arg &a) {
    return ((uintptr_t)a.data & (4 * sizeof(T) - 1)) == 0 && (a.pitch & 3) == 0;
}

/* The first `count` of four elements at p, zeros behind; `wide`: all four, and p is aligned. */
template <class T> DEVICE four<T> load_four(const T *p, int count, bool wide) {
    four<T> x = {};
    if (wide && count >= 4) {
        x = *reinterpret_cast<const four<T> *>(p);
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i < count) x.at[i] = p[i];
        }
    }
    return x;
}

template <class T> DEVICE void store_four(T *p, const four<T> &x, int count, bool wide) {
    if (wide && count >= 4) {
        *reinterpret_cast<four<T> *>(p) = x;
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i < count) p[i] = x.at[i];
        }
    }
}

} // namespace ingot

#endif
