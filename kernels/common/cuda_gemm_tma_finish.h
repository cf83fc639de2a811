/* Finishes of products by tensor maps: the same numbers as those of cuda_gemm_finish.h, of sums in registers. A thread
 * has eight neighbours in each of two rows, eight rows apart; what it reads for them comes first. */
#ifndef INGOT_CUDA_GEMM_TMA_FINISH_H
#define INGOT_CUDA_GEMM_TMA_FINISH_H

#include "cuda_gemm_finish.h"
#include "cuda_gemm_tma.h"

namespace ingot {

/* The extents of the result, and how many of eight columns there are. */
struct result_extents {
    int rows = 1, columns;

    DEVICE explicit result_extents(const ingot_cuda_arg &out) : columns(out.dims[out.rank - 1]) {
        for (uint32_t i = 0; i + 1 < out.rank; i++) rows *= out.dims[i];
    }
    DEVICE int there(int column) const {
        const int left = columns - column;
        return left < 0 ? 0 : left < 8 ? left : 8;
    }
};

/* The first `count` of eight elements, zeros behind; `wide`: they can be reached at once. */
template <class T> DEVICE words_of<T> words_at(const T *p, int count, bool wide) {
    return wide && is_whole(count) ? *reinterpret_cast<const words_of<T> *>(p) : get_words<8>(p, count);
}

/* activation(sum + bias + residual), in float32; results and residual in it or in H. */
template <int KIND, class H> struct real_finish {
    const ingot_cuda_arg &bias, &residual, &out;
    result_extents extents;
    real_rows<H> to, from;
    activation<KIND> act;
    bool adds, adds_half, wide_bias;

    struct ahead {
        float add[8];
        words_of<H> old[2]; /* of a residual of H */
    };

    DEVICE real_finish(const ingot_cuda_arg &biases, const ingot_cuda_arg &residuals, const ingot_cuda_arg &results,
                       const ingot_activation &kind)
        : bias(biases), residual(residuals), out(results), extents(results), to(results), from(residuals), act(kind) {
        adds = residual.dtype != DTYPE_NONE;
        adds_half = adds && residual.dtype != DTYPE_F32;
        wide_bias = ((uintptr_t)bias.data & 15) == 0;
    }

    DEVICE void read(ahead &x, int row, int column) const {
        const int count = extents.there(column);
#pragma unroll
        for (int i = 0; i < 8; i++) x.add[i] = 0.0f;
        if (bias.dtype != DTYPE_NONE && count > 0)
            load_some(x.add, static_cast<const float *>(bias.data) + column, count, wide_bias);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            x.old[i] = {};
            if (adds_half && row + 8 * i < extents.rows && count > 0)
                x.old[i] =
                    words_at(static_cast<const H *>(residual.data) + (int64_t)(row + 8 * i) * residual.pitch + column,
                             count, from.wide);
        }
    }

    DEVICE void store(const ahead &x, const float (&sums)[2][4][2], int row, int column) const {
        const int count = extents.there(column);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int own = row + 8 * i;
            if (own >= extents.rows || count == 0) continue;
            float y[8], old[8];
#pragma unroll
            for (int k = 0; k < 8; k++) old[k] = x.old[i].real(k);
            if (adds && !adds_half) from.load(old, (int64_t)own * residual.pitch + column, count);
#pragma unroll
            for (int k = 0; k < 8; k++) y[k] = act(sums[i][k / 2][k % 2] + x.add[k] + old[k]);
            to.store(y, (int64_t)own * out.pitch + column, count);
        }
    }
};

/* Exact integers, as gemm_s8.h says. */
struct s8_finish {
    const ingot_cuda_arg &bias, &residual, &weight_sums, &scale, &out;
    result_extents extents;
    uint32_t minus_zero;
    end_s8 end;
    bool adds, stores, wide, wide_from;

    struct ahead {
        uint32_t offset[8];
        float scales[8], add[8];
        words_of<int8_t> old[2];
    };

    DEVICE s8_finish(const ingot_cuda_arg &biases, const ingot_cuda_arg &residuals, const ingot_cuda_arg &sums,
                     const ingot_cuda_arg &scales, const ingot_cuda_arg &results, const ingot_s8_numbers &numbers,
                     const ingot_activation &kind)
        : bias(biases), residual(residuals), weight_sums(sums), scale(scales), out(results), extents(results),
          minus_zero(0u - (uint32_t)numbers.input_zero), end(numbers, kind) {
        adds = residual.dtype != DTYPE_NONE;
        stores = out.dtype == DTYPE_I8;
        wide = stores ? in_whole<int8_t>(out) : in_whole<float>(out);
        wide_from = in_whole<int8_t>(residual);
    }

    /* Of an operand of one number a column; zeros where it is not `there`. */
    template <class T>
    static DEVICE neighbours<T, 8> columns_of(const ingot_cuda_arg &a, int column, int count, bool there) {
        return get_some<8>(static_cast<const T *>(a.data) + (there ? column : 0), there ? count : 0,
                           ((uintptr_t)a.data & 15) == 0);
    }

    DEVICE void read(ahead &x, int row, int column) const {
        const int count = extents.there(column);
        const bool whole = bias.dtype == DTYPE_I32, one = scale.dims[0] == 1;
        const neighbours<uint32_t, 8> sums =
            columns_of<uint32_t>(weight_sums, column, count, weight_sums.dtype != DTYPE_NONE);
        const neighbours<uint32_t, 8> biases = columns_of<uint32_t>(bias, column, count, bias.dtype != DTYPE_NONE);
        const neighbours<float, 8> each = columns_of<float>(scale, column, count, !one);
        const float same = *static_cast<const float *>(scale.data);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            x.offset[i] = sums.at[i] * minus_zero + (whole ? biases.at[i] : 0u);
            x.add[i] = whole ? 0.0f : float_of(biases.at[i]);
            x.scales[i] = one ? same : each.at[i];
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            x.old[i] = {};
            if (adds && row + 8 * i < extents.rows && count > 0)
                x.old[i] = words_at(static_cast<const int8_t *>(residual.data) +
                                        (int64_t)(row + 8 * i) * residual.pitch + column,
                                    count, wide_from);
        }
    }

    DEVICE void store(const ahead &x, const int32_t (&sums)[2][4][2], int row, int column) const {
        const int count = extents.there(column);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int own = row + 8 * i;
            if (own >= extents.rows || count == 0) continue;
            float y[8];
#pragma unroll
            for (int k = 0; k < 8; k++)
                y[k] = end.scaled((int32_t)((uint32_t)sums[i][k / 2][k % 2] + x.offset[k]), x.scales[k], x.add[k]);
            if (adds) {
#pragma unroll
                for (int k = 0; k < 8; k++) y[k] = end.with_raised_residual(y[k], x.old[i].raised(k));
            }
            const int64_t to = (int64_t)own * out.pitch + column;
            if (stores) {
                const words_of<int8_t> z = {{end.stored4(y[0], y[1], y[2], y[3]), end.stored4(y[4], y[5], y[6], y[7])}};
                put_words(static_cast<int8_t *>(out.data) + to, z, count, wide);
            } else {
#pragma unroll
                for (int k = 0; k < 8; k++) y[k] = end.real(y[k]);
                store_some(static_cast<float *>(out.data) + to, y, count, wide);
            }
        }
    }
};

} // namespace ingot

#endif
