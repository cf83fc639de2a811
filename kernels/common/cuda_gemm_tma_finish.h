/* Finishes of products by tensor maps: the same numbers as those of cuda_gemm_finish.h, of eight sums in registers. */
#ifndef INGOT_CUDA_GEMM_TMA_FINISH_H
#define INGOT_CUDA_GEMM_TMA_FINISH_H

#include "cuda_gemm_finish.h"
#include "cuda_gemm_tma.h"

namespace ingot {

/* How many of eight columns there are. */
DEVICE int columns_there(const ingot_cuda_arg &out, int column) {
    const int left = out.dims[out.rank - 1] - column;
    return left < 0 ? 0 : left < 8 ? left : 8;
}

/* activation(sum + bias + residual), in float32; results and residual in it or in H. */
template <int KIND, class H> struct real_finish {
    const ingot_cuda_arg &bias, &residual, &out;
    real_rows<H> to, from;
    activation<KIND> act;

    DEVICE real_finish(const ingot_cuda_arg &biases, const ingot_cuda_arg &residuals, const ingot_cuda_arg &results,
                       const ingot_activation &kind)
        : bias(biases), residual(residuals), out(results), to(results), from(residuals), act(kind) {}

    struct columns {
        int count;
        float add[8];

        DEVICE columns(const real_finish &f, int column) : count(columns_there(f.out, column)) {
#pragma unroll
            for (int i = 0; i < 8; i++) add[i] = 0.0f;
            if (f.bias.dtype != DTYPE_NONE && count > 0)
                load_eight(add, static_cast<const float *>(f.bias.data) + column, count,
                           ((uintptr_t)f.bias.data & 15) == 0);
        }
    };

    DEVICE void store(const columns &of, const float (&sums)[4][2], int row, int column) const {
        float x[8], old[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
        if (residual.dtype != DTYPE_NONE) from.load(old, (int64_t)row * residual.pitch + column, of.count);
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = act(sums[i / 2][i % 2] + of.add[i] + old[i]);
        to.store(x, (int64_t)row * out.pitch + column, of.count);
    }
};

/* Exact integers, as gemm_s8.h says. */
struct s8_finish {
    const ingot_cuda_arg &bias, &residual, &weight_sums, &scale, &out;
    uint32_t minus_zero;
    end_s8 end;
    bool stores, wide, wide_from;

    DEVICE s8_finish(const ingot_cuda_arg &biases, const ingot_cuda_arg &residuals, const ingot_cuda_arg &sums,
                     const ingot_cuda_arg &scales, const ingot_cuda_arg &results, const ingot_s8_numbers &numbers,
                     const ingot_activation &kind)
        : bias(biases), residual(residuals), weight_sums(sums), scale(scales), out(results),
          minus_zero(0u - (uint32_t)numbers.input_zero), end(numbers, kind), stores(results.dtype == DTYPE_I8),
          wide(stores ? in_eights<int8_t>(results) : in_eights<float>(results)),
          wide_from(in_eights<int8_t>(residuals)) {}

    struct columns {
        int count;
        uint32_t offset[8];
        float scales[8], add[8];

        DEVICE columns(const s8_finish &f, int column) : count(columns_there(f.out, column)) {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const int c = i < count ? column + i : 0;
                offset[i] = 0;
                add[i] = 0.0f;
                if (f.weight_sums.dtype != DTYPE_NONE)
                    offset[i] = static_cast<const uint32_t *>(f.weight_sums.data)[c] * f.minus_zero;
                if (f.bias.dtype == DTYPE_I32) {
                    offset[i] += static_cast<const uint32_t *>(f.bias.data)[c];
                } else if (f.bias.dtype != DTYPE_NONE) {
                    add[i] = static_cast<const float *>(f.bias.data)[c];
                }
                scales[i] = static_cast<const float *>(f.scale.data)[f.scale.dims[0] == 1 ? 0 : c];
            }
        }
    };

    DEVICE void store(const columns &of, const int32_t (&sums)[4][2], int row, int column) const {
        float y[8];
#pragma unroll
        for (int i = 0; i < 8; i++)
            y[i] = end.scaled((int32_t)((uint32_t)sums[i / 2][i % 2] + of.offset[i]), of.scales[i], of.add[i]);
        if (residual.dtype != DTYPE_NONE) {
            const eight<int8_t> old =
                get_eight(static_cast<const int8_t *>(residual.data) + (int64_t)row * residual.pitch + column, of.count,
                          wide_from);
#pragma unroll
            for (int i = 0; i < 8; i++) y[i] = end.with_residual(y[i], old.at[i]);
        }
        const int64_t to = (int64_t)row * out.pitch + column;
        if (stores) {
            eight<int8_t> z;
#pragma unroll
            for (int i = 0; i < 8; i++) z.at[i] = end.stored(y[i]);
            put_eight(static_cast<int8_t *>(out.data) + to, z, of.count, wide);
        } else {
#pragma unroll
            for (int i = 0; i < 8; i++) y[i] = end.real(y[i]);
            store_eight(static_cast<float *>(out.data) + to, y, of.count, wide);
        }
    }
};

} // namespace ingot

#endif
