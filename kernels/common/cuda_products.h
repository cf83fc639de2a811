/* Sums of a few pixels by four neighbouring columns in one thread: what direct convolutions and transposed ones share.
 *
 * Weights lie in panels of sixteen columns, as the CPU's kernels have them (gemm_f32.h, gemm_half.h, gemm_s8.h), or in
 * ONNX's order. Products are numbered: tap by tap, and within a tap channel by channel. */
#ifndef INGOT_CUDA_PRODUCTS_H
#define INGOT_CUDA_PRODUCTS_H

#include "cuda_epilogue.h"

namespace ingot {

DEVICE double to_real(double x) { return x; }
DEVICE float to_real(float x) { return x; }
DEVICE float to_real(f16 x) { return to_float(x); }
DEVICE float to_real(bf16 x) { return to_float(x); }

/* A panel of an operand [panels]... */
template <class T> DEVICE const T *panel_at(const ingot_cuda_arg &w, int64_t panel) {
    return static_cast<const T *>(w.data) + panel * w.dims[1] * w.dims[2] * w.dims[3];
}

/* Weights of four columns from one of a panel on, for product k, which is channel c of a tap. */
template <class T> struct panels;

template <> struct panels<float> { /* [k][16] */
    using sum = float;
    const float *at;
    DEVICE panels(const float *panel, int32_t column) : at(panel + column) {}
    DEVICE four<float> operator()(int32_t k, int32_t, int32_t) const {
        return load_constant(reinterpret_cast<const four<float> *>(at + (int64_t)k * 16));
    }
};

template <> struct panels<f16> { /* [k / 2][2][16] */
    using sum = float;
    const f16 *at;
    DEVICE panels(const f16 *panel, int32_t column) : at(panel + column) {}
    DEVICE four<float> operator()(int32_t k, int32_t, int32_t) const {
        const four<f16> x = load_constant(reinterpret_cast<const four<f16> *>(at + (int64_t)k * 16));
        return {to_float(x.at[0]), to_float(x.at[1]), to_float(x.at[2]), to_float(x.at[3])};
    }
};

template <> struct panels<bf16> { /* [k / 2][16][2] */
    using sum = float;
    const bf16 *at;
    DEVICE panels(const bf16 *panel, int32_t column) : at(panel + column * 2) {}
    DEVICE four<float> operator()(int32_t k, int32_t, int32_t) const {
        const four<uint32_t> x = load_constant(reinterpret_cast<const four<uint32_t> *>(at + (int64_t)(k / 2) * 32));
        const bool odd = k & 1;
        four<float> y;
#pragma unroll
        for (int i = 0; i < 4; i++) y.at[i] = float_of(odd ? x.at[i] & 0xffff0000u : x.at[i] << 16);
        return y;
    }
};

/* In ONNX's order: what is between columns, between channels and between taps. */
template <class T> struct plain {
    using sum = T;
    const T *at;
    int64_t column_step, channel_step;
    int32_t columns;
    DEVICE plain(const T *first, int64_t column_step, int64_t channel_step, int32_t columns)
        : at(first), column_step(column_step), channel_step(channel_step), columns(columns) {}
    DEVICE four<T> operator()(int32_t, int32_t tap, int32_t c) const {
        four<T> y = {};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i < columns) y.at[i] = at[i * column_step + c * channel_step + tap];
        }
        return y;
    }
};

/* Four elements at p, zeros where p is null. WIDE: p is aligned, and there are four; else `count` are. */
template <bool WIDE, class T> DEVICE four<T> load_pixel(const T *p, int32_t at, int32_t count) {
    if constexpr (WIDE) { /* without a branch, so that loads do not wait for each other */
        four<T> x = {};
        if (p != nullptr) x = *reinterpret_cast<const four<T> *>(p + at);
        return x;
    }
    return load_four(p + at, p == nullptr ? 0 : count, false);
}

/* sum[p][i] += the `count` products of a tap, from product k on. A pixel without an address has zeros there. WIDE:
 * count and all addresses are multiples of four. */
template <bool WIDE, int PIXELS, class Sum, class X, class Weights>
DEVICE void add_tap(Sum (&sum)[PIXELS][4], const Weights &w, int32_t k, int32_t tap, const X *const (&x)[PIXELS],
                    int32_t count) {
#pragma unroll 1
    for (int32_t c = 0; c < count; c += 4) {
        four<X> rows[PIXELS];
#pragma unroll
        for (int p = 0; p < PIXELS; p++) rows[p] = load_pixel<WIDE>(x[p], c, count - c);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (WIDE || c + j < count) {
                const four<Sum> f = w(k + c + j, tap, c + j);
#pragma unroll
                for (int p = 0; p < PIXELS; p++) {
                    const Sum v = to_real(rows[p].at[j]);
#pragma unroll
                    for (int i = 0; i < 4; i++) sum[p][i] += v * f.at[i];
                }
            }
        }
    }
}

/* The same of signed bytes, exactly: panels [step of four products][16][4]. Products of a tap need not be whole steps:
 * bytes wait for those of the next. */
template <int PIXELS> struct products_s8 {
    int32_t sum[PIXELS][4];
    uint32_t waiting[PIXELS];
    int32_t count;      /* of waiting bytes */
    const uint32_t *at; /* of the next step */
    uint32_t zeros;     /* four times what stands outside the image */

    DEVICE products_s8(const ingot_cuda_arg &w, int64_t panel, int32_t column, int32_t zero)
        : count(0), at(reinterpret_cast<const uint32_t *>(panel_at<int8_t>(w, panel)) + column),
          zeros((uint32_t)(zero & 255) * 0x01010101u) {
#pragma unroll
        for (int p = 0; p < PIXELS; p++) {
            waiting[p] = 0;
#pragma unroll
            for (int i = 0; i < 4; i++) sum[p][i] = 0;
        }
    }

    DEVICE void step(const uint32_t (&x)[PIXELS]) {
        const four<uint32_t> w = load_constant(reinterpret_cast<const four<uint32_t> *>(at));
        at += 16;
#pragma unroll
        for (int p = 0; p < PIXELS; p++) {
#pragma unroll
            for (int i = 0; i < 4; i++) sum[p][i] = dot4(x[p], w.at[i], sum[p][i]);
        }
    }

    /* Ends a step; the weights of what is missing are zeros. */
    DEVICE void finish() {
        if (count > 0) {
            step(waiting);
            count = 0;
#pragma unroll
            for (int p = 0; p < PIXELS; p++) waiting[p] = 0;
        }
    }

    template <bool WIDE> DEVICE void add_tap(const int8_t *const (&x)[PIXELS], int32_t channels) {
        if constexpr (WIDE) {
#pragma unroll 2
            for (int32_t c = 0; c < channels; c += 4) {
                uint32_t words[PIXELS];
#pragma unroll
                for (int p = 0; p < PIXELS; p++) {
                    words[p] = zeros;
                    if (x[p] != nullptr) words[p] = *reinterpret_cast<const uint32_t *>(x[p] + c);
                }
                step(words);
            }
        } else {
            for (int32_t c = 0; c < channels; c++) {
#pragma unroll
                for (int p = 0; p < PIXELS; p++) {
                    const uint32_t byte = x[p] != nullptr ? (uint8_t)x[p][c] : zeros & 255u;
                    waiting[p] |= byte << (8 * count);
                }
                if (++count == 4) finish();
            }
        }
    }
};

/* -- results
 * ---------------------------------------------------------------------------------------------------------------
 * Operands: bias [columns] or none, residual or none, y; from element `at` of a row of both on, `count` columns. */

template <class Y, int KIND, class Sum>
DEVICE void finish_four(const Sum (&sum)[4], const activation<KIND> &act, const ingot_cuda_arg &bias,
                        const ingot_cuda_arg &residual, const ingot_cuda_arg &y, int64_t row, int32_t column,
                        int32_t count, bool wide) {
    four<Y> result = {};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (i < count) {
            Sum v = sum[i];
            if (bias.data != nullptr) v += static_cast<const Sum *>(bias.data)[column + i];
            if constexpr (sizeof(Sum) == 8) {
                if (residual.data != nullptr) {
                    v += static_cast<const Sum *>(residual.data)[row * residual.pitch + column + i];
                }
                result.at[i] = v;
            } else {
                if (residual.data != nullptr) v += load_real(residual, row * residual.pitch + column + i);
                result.at[i] = from_float<Y>(act(v));
            }
        }
    }
    store_four(static_cast<Y *>(y.data) + row * y.pitch + column, result, count, wide);
}

/* Four columns of an INT8 result. */
struct columns_s8 {
    column_s8 column[4];
    int32_t first, count;

    DEVICE columns_s8(const ingot_cuda_arg &bias, const ingot_cuda_arg &sums, const ingot_cuda_arg &scales,
                      int32_t input_zero, int64_t row, int32_t first, int32_t count)
        : column{{bias, sums, scales, input_zero, row, first},
                 {bias, sums, scales, input_zero, row, first + (count > 1 ? 1 : 0)},
                 {bias, sums, scales, input_zero, row, first + (count > 2 ? 2 : 0)},
                 {bias, sums, scales, input_zero, row, first + (count > 3 ? 3 : 0)}},
          first(first), count(count) {}

    DEVICE void finish(const int32_t (&sum)[4], const end_s8 &end, const ingot_cuda_arg &residual,
                       const ingot_cuda_arg &y, int64_t row) const {
        const bool real = y.dtype == DTYPE_F32, has_residual = residual.data != nullptr;
        const bool wide = real ? in_fours<float>(y) : in_fours<int8_t>(y);
        four<int8_t> near = {};
        if (has_residual) {
            near = load_four(static_cast<const int8_t *>(residual.data) + row * residual.pitch + first, count,
                             in_fours<int8_t>(residual) && (first & 3) == 0);
        }
        float v[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            v[i] = end.scaled((int32_t)((uint32_t)sum[i] + column[i].offset), column[i].scale, column[i].bias);
            if (has_residual) v[i] = end.with_residual(v[i], near.at[i]);
        }
        const int64_t at = row * y.pitch + first;
        if (real) {
            const four<float> result = {end.real(v[0]), end.real(v[1]), end.real(v[2]), end.real(v[3])};
            store_four(static_cast<float *>(y.data) + at, result, count, wide && (first & 3) == 0);
        } else {
            const four<int8_t> result = {end.stored(v[0]), end.stored(v[1]), end.stored(v[2]), end.stored(v[3])};
            store_four(static_cast<int8_t *>(y.data) + at, result, count, wide && (first & 3) == 0);
        }
    }
};

} // namespace ingot

#endif
