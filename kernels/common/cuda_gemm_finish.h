/* Finishes of matrix products: sums, which lie in shared memory, become results. See cuda_gemm.h. */
#ifndef INGOT_CUDA_GEMM_FINISH_H
#define INGOT_CUDA_GEMM_FINISH_H

#include "cuda_epilogue.h"
#include "cuda_gemm.h"

namespace ingot {

/* Threads take eight neighbours in a row of the tile at a time, always in the same columns. */
template <class Tile> struct finish_share {
    static constexpr int VEC = 8, groups = Tile::columns / VEC, step = Tile::threads / groups;
    static_assert(Tile::columns % VEC == 0 && Tile::threads % groups == 0, "columns that threads can share");

    int row, column, count; /* count: of the columns, how many there are */

    DEVICE finish_share(int columns) {
        row = (int)threadIdx.x / groups;
        column = (int)threadIdx.x % groups * VEC;
        const int left = columns - column;
        count = left < 0 ? 0 : left < VEC ? left : VEC;
    }
};

template <class T> struct alignas(8 * sizeof(T) < 16 ? 8 * sizeof(T) : 16) eight { T at[8]; };

/* Whether eight elements from a multiple of eight on can be reached at once in every row. */
template <class T> DEVICE bool in_eights(const ingot_cuda_arg &a) {
    return (((uintptr_t)a.data | (uintptr_t)(a.pitch * (int64_t)sizeof(T))) & (alignof(eight<T>) - 1)) == 0;
}

/* The first `count` of eight elements, zeros behind; `wide`: they can be reached at once. */
template <class T> DEVICE eight<T> get_eight(const T *p, int count, bool wide) {
    eight<T> x = {};
    if (wide && count == 8) {
        x = *reinterpret_cast<const eight<T> *>(p);
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            if (i < count) x.at[i] = p[i];
        }
    }
    return x;
}

template <class T> DEVICE void put_eight(T *p, const eight<T> &x, int count, bool wide) {
    if (wide && count == 8) {
        *reinterpret_cast<eight<T> *>(p) = x;
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            if (i < count) p[i] = x.at[i];
        }
    }
}

template <class T> DEVICE void load_eight(float (&x)[8], const T *p, int count, bool wide) {
    const eight<T> all = get_eight(p, count, wide);
#pragma unroll
    for (int i = 0; i < 8; i++) x[i] = to_float(all.at[i]);
}

template <class T> DEVICE void store_eight(T *p, const float (&x)[8], int count, bool wide) {
    eight<T> all;
#pragma unroll
    for (int i = 0; i < 8; i++) all.at[i] = from_float<T>(x[i]);
    put_eight(p, all, count, wide);
}

/* An operand of float32, or of the half type H: float where there is none. */
template <class H> struct real_rows {
    const ingot_cuda_arg &a;
    bool single, wide;

    DEVICE explicit real_rows(const ingot_cuda_arg &operand) : a(operand) {
        single = sizeof(H) == 4 || a.dtype == DTYPE_F32;
        wide = single ? in_eights<float>(a) : in_eights<H>(a);
    }
    DEVICE void load(float (&x)[8], int64_t at, int count) const {
        if (single) {
            load_eight(x, static_cast<const float *>(a.data) + at, count, wide);
        } else {
            load_eight(x, static_cast<const H *>(a.data) + at, count, wide);
        }
    }
    DEVICE void store(const float (&x)[8], int64_t at, int count) const {
        if (single) {
            store_eight(static_cast<float *>(a.data) + at, x, count, wide);
        } else {
            store_eight(static_cast<H *>(a.data) + at, x, count, wide);
        }
    }
};

/* activation(alpha * sum + bias + residual), in float32; results and residual in it or in H. Rows of the result are
 * numbered through: row r is r pitches from the first. `first` is that of the tile, of `rows`. */
template <int KIND, class H, class Tile>
DEVICE void finish_real(const float *sums, const ingot_cuda_arg &bias, const ingot_cuda_arg &residual,
                        const ingot_cuda_arg &out, const ingot_activation &kind, float alpha,
                        const tile_place<Tile> &at, int64_t first, int rows) {
    const finish_share<Tile> mine(out.dims[out.rank - 1] - at.column);
    const int column = at.column + mine.column, count = mine.count;
    if (count == 0) return;
    const activation<KIND> act(kind);
    const real_rows<H> to(out), from(residual);
    float add[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    if (bias.dtype != DTYPE_NONE)
        load_eight(add, static_cast<const float *>(bias.data) + column, count, ((uintptr_t)bias.data & 15) == 0);
#pragma unroll 1
    for (int row = mine.row; row < Tile::rows && at.row + row < rows; row += finish_share<Tile>::step) {
        float x[8], old[8];
        load_eight(x, sums + row * Tile::sum_pitch + mine.column, 8, true);
        if (residual.dtype != DTYPE_NONE) {
            from.load(old, (first + at.row + row) * residual.pitch + column, count);
        } else {
#pragma unroll
            for (int i = 0; i < 8; i++) old[i] = 0.0f;
        }
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = act(fma_f32(alpha, x[i], add[i]) + old[i]);
        to.store(x, (first + at.row + row) * out.pitch + column, count);
    }
}

/* Exact integers, as gemm_s8.h says. Sums of the weights may be absent; the scale is one number, or one a column. */
template <class Tile>
DEVICE void finish_s8(const int32_t *sums, const ingot_cuda_arg &bias, const ingot_cuda_arg &residual,
                      const ingot_cuda_arg &weight_sums, const ingot_cuda_arg &scale, const ingot_cuda_arg &out,
                      const ingot_s8_numbers &numbers, const ingot_activation &kind, const tile_place<Tile> &at,
                      int64_t first, int rows) {
    const finish_share<Tile> mine(out.dims[out.rank - 1] - at.column);
    const int column = at.column + mine.column, count = mine.count;
    if (count == 0) return;
    const end_s8 end(numbers, kind);
    uint32_t offset[8];
    float scales[8], add[8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int c = i < count ? column + i : column;
        offset[i] = 0;
        add[i] = 0.0f;
        if (weight_sums.dtype != DTYPE_NONE) {
            offset[i] = static_cast<const uint32_t *>(weight_sums.data)[c] * (0u - (uint32_t)numbers.input_zero);
        }
        if (bias.dtype == DTYPE_I32) {
            offset[i] += static_cast<const uint32_t *>(bias.data)[c];
        } else if (bias.dtype != DTYPE_NONE) {
            add[i] = static_cast<const float *>(bias.data)[c];
        }
        scales[i] = static_cast<const float *>(scale.data)[scale.dims[0] == 1 ? 0 : c];
    }
    const bool stores = out.dtype == DTYPE_I8;
    const bool wide = stores ? in_eights<int8_t>(out) : in_eights<float>(out), wide_from = in_eights<int8_t>(residual);
#pragma unroll 1
    for (int row = mine.row; row < Tile::rows && at.row + row < rows; row += finish_share<Tile>::step) {
        const eight<int32_t> x = *reinterpret_cast<const eight<int32_t> *>(sums + row * Tile::sum_pitch + mine.column);
        float y[8];
#pragma unroll
        for (int i = 0; i < 8; i++) y[i] = end.scaled((int32_t)((uint32_t)x.at[i] + offset[i]), scales[i], add[i]);
        if (residual.dtype != DTYPE_NONE) {
            const eight<int8_t> old =
                get_eight(static_cast<const int8_t *>(residual.data) + (first + at.row + row) * residual.pitch + column,
                          count, wide_from);
#pragma unroll
            for (int i = 0; i < 8; i++) y[i] = end.with_residual(y[i], old.at[i]);
        }
        const int64_t to = (first + at.row + row) * out.pitch + column;
        if (stores) {
            eight<int8_t> z;
#pragma unroll
            for (int i = 0; i < 8; i++) z.at[i] = end.stored(y[i]);
            put_eight(static_cast<int8_t *>(out.data) + to, z, count, wide);
        } else {
#pragma unroll
            for (int i = 0; i < 8; i++) y[i] = end.real(y[i]);
            store_eight(static_cast<float *>(out.data) + to, y, count, wide);
        }
    }
}

} // namespace ingot

#endif
