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

template <class T> DEVICE void load_eight(float (&x)[8], const T *p, int count, bool wide) {
    if (wide && count == 8) {
        const eight<T> all = *reinterpret_cast<const eight<T> *>(p);
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = to_float(all.at[i]);
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = i < count ? to_float(p[i]) : 0.0f;
    }
}

template <class T> DEVICE void store_eight(T *p, const float (&x)[8], int count, bool wide) {
    if (wide && count == 8) {
        eight<T> all;
#pragma unroll
        for (int i = 0; i < 8; i++) all.at[i] = from_float<T>(x[i]);
        *reinterpret_cast<eight<T> *>(p) = all;
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            if (i < count) p[i] = from_float<T>(x[i]);
        }
    }
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
        load_eight(add, static_cast<const float *>(bias.data) + column, count, in_eights<float>(bias));
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

} // namespace ingot

#endif
