/* Products with few rows, by packed weights [columns][depth] (cuda_gemm_source.h): each weight is read once, so that
 * the bandwidth of memory is all that counts. The lanes of a warp go along the depth, 16 bytes each; so do WARPS_K
 * warps. Lanes and warps are added up in an order that does not change. */
#ifndef INGOT_CUDA_FEW_ROWS_H
#define INGOT_CUDA_FEW_ROWS_H

#include "cuda_epilogue.h"
#include "cuda_gemm_source.h"

namespace ingot {

/* A block makes ROWS x COLUMNS WARPS_N results, a warp ROWS x COLUMNS. */
template <int ROWS, int COLUMNS, int WARPS_N, int WARPS_K> struct few_tile {
    static constexpr int rows = ROWS, columns = COLUMNS, warps_n = WARPS_N, warps_k = WARPS_K;
    static constexpr int threads = 32 * WARPS_N * WARPS_K, results = ROWS * COLUMNS;
};

/* A chunk as it is multiplied: numbers, or words of four bytes. */
template <class T> struct few_chunk {
    float at[vec_of<T>::count];

    DEVICE explicit few_chunk(const chunk_of<T> &x) {
#pragma unroll
        for (int i = 0; i < vec_of<T>::count; i++) at[i] = to_float(x.at[i]);
    }
    DEVICE float add_product(const few_chunk &w, float sum) const {
#pragma unroll
        for (int i = 0; i < vec_of<T>::count; i++) sum = fma_f32(at[i], w.at[i], sum);
        return sum;
    }
};
template <> struct few_chunk<int8_t> {
    uint32_t at[4];

    DEVICE explicit few_chunk(const chunk_of<int8_t> &x) { memcpy(at, &x, sizeof at); }
    DEVICE int32_t add_product(const few_chunk &w, int32_t sum) const {
#pragma unroll
        for (int i = 0; i < 4; i++) sum = dot4(at[i], w.at[i], sum);
        return sum;
    }
};

/* `count` elements at `from`, zeros behind them; `whole`: chunks are aligned and of the type that is multiplied. */
template <class T, class X> DEVICE chunk_of<T> load_few(const X *from, int count, bool whole) {
    chunk_of<T> x = {};
    if constexpr (sizeof(T) == sizeof(X)) {
        if (whole && count == vec_of<T>::count) return load_input(reinterpret_cast<const chunk_of<T> *>(from));
    }
#pragma unroll
    for (int i = 0; i < vec_of<T>::count; i++) {
        if (i < count) x.at[i] = stored_as<T>(load_input(from + i));
    }
    return x;
}

/* The sums of this block's columns: `sums` [WARPS_N][ROWS][COLUMNS] in shared memory; threads wait for each other. */
template <class T, class X, class Tile, class Sum>
DEVICE void few_sums(const ingot_cuda_arg &x, const ingot_cuda_arg &w, int rows, int depth, Sum *partial) {
    constexpr int VEC = vec_of<T>::count;
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    const int n = warp % Tile::warps_n, k = warp / Tile::warps_n;
    const int first = ((int)blockIdx.x * Tile::warps_n + n) * Tile::columns, columns = w.dims[0];
    const X *const from = static_cast<const X *>(x.data);
    const T *const weights = static_cast<const T *>(w.data);
    const bool whole = grain_of(x.data, x.pitch * (int64_t)sizeof(X)) == 16;
    const int chunks = (int)(w.pitch / VEC);
    Sum sums[Tile::rows][Tile::columns];
#pragma unroll
    for (int r = 0; r < Tile::rows; r++) {
#pragma unroll
        for (int c = 0; c < Tile::columns; c++) sums[r][c] = 0;
    }
#pragma unroll 2
    for (int i = k * 32 + lane; i < chunks; i += 32 * Tile::warps_k) {
        chunk_of<T> b[Tile::columns];
#pragma unroll
        for (int c = 0; c < Tile::columns; c++) {
            const int column = first + c < columns ? first + c : columns - 1;
            b[c] = load_constant(reinterpret_cast<const chunk_of<T> *>(weights + column * w.pitch + i * VEC));
        }
        const int left = depth - i * VEC, count = left < VEC ? left : VEC;
#pragma unroll
        for (int r = 0; r < Tile::rows; r++) {
            const few_chunk<T> a(load_few<T>(from + (r < rows ? r : 0) * x.pitch + i * VEC, count, whole));
#pragma unroll
            for (int c = 0; c < Tile::columns; c++) sums[r][c] = a.add_product(few_chunk<T>(b[c]), sums[r][c]);
        }
    }
#pragma unroll
    for (int r = 0; r < Tile::rows; r++) {
#pragma unroll
        for (int c = 0; c < Tile::columns; c++) {
            Sum sum = sums[r][c];
#pragma unroll
            for (int mask = 16; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
            if (lane == 0) partial[warp * Tile::results + r * Tile::columns + c] = sum;
        }
    }
    sync_block();
}

/* What a thread finishes: one result after the other, of those of the block. */
template <class Tile> struct few_result {
    int row, column, place;

    DEVICE explicit few_result(int index) {
        const int n = index / Tile::results, rest = index % Tile::results;
        row = rest / Tile::columns;
        column = ((int)blockIdx.x * Tile::warps_n + n) * Tile::columns + rest % Tile::columns;
        place = index;
    }
    /* The sum of what the warps along the depth have. */
    template <class Sum> DEVICE Sum sum(const Sum *partial) const {
        Sum all = partial[place];
#pragma unroll
        for (int k = 1; k < Tile::warps_k; k++) all += partial[k * Tile::warps_n * Tile::results + place];
        return all;
    }
};

/* Operands: x, weights, bias, residual, result; float32 or half. `rows` of x by `depth`. */
template <class T, class X, int KIND, class Tile, class Call>
DEVICE void few_real(const Call &c, const ingot_activation &kind, int rows, int depth) {
    INGOT_SHARED(float, partial, [Tile::warps_n * Tile::warps_k * Tile::results]);
    const ingot_cuda_arg &bias = c.arg[2], &residual = c.arg[3], &out = c.arg[4];
    few_sums<T, X, Tile>(c.arg[0], c.arg[1], rows, depth, partial);
    const activation<KIND> act(kind);
    for (int i = (int)threadIdx.x; i < Tile::warps_n * Tile::results; i += Tile::threads) {
        const few_result<Tile> at(i);
        if (at.row >= rows || at.column >= out.dims[out.rank - 1]) continue;
        float y = at.sum(partial);
        if (bias.dtype != DTYPE_NONE) y += static_cast<const float *>(bias.data)[at.column];
        if (residual.dtype != DTYPE_NONE) y += load_real(residual, at.row * residual.pitch + at.column);
        store_real(out, at.row * out.pitch + at.column, act(y));
    }
}

/* Operands: x, weights, bias, residual, sums of weights, scale, result; exact integers. */
template <class Tile, class Call>
DEVICE void few_s8(const Call &c, const ingot_s8_numbers &numbers, const ingot_activation &kind, int rows, int depth) {
    INGOT_SHARED(int32_t, partial, [Tile::warps_n * Tile::warps_k * Tile::results]);
    const ingot_cuda_arg &residual = c.arg[3], &out = c.arg[6];
    few_sums<int8_t, int8_t, Tile>(c.arg[0], c.arg[1], rows, depth, partial);
    const end_s8 end(numbers, kind);
    for (int i = (int)threadIdx.x; i < Tile::warps_n * Tile::results; i += Tile::threads) {
        const few_result<Tile> at(i);
        if (at.row >= rows || at.column >= out.dims[out.rank - 1]) continue;
        const column_s8 column(c.arg[2], c.arg[4], c.arg[5], numbers.input_zero, 0, at.column);
        float y = end.scaled((int32_t)((uint32_t)at.sum(partial) + column.offset), column.scale, column.bias);
        if (residual.dtype != DTYPE_NONE) {
            const int8_t *const old = static_cast<const int8_t *>(residual.data);
            y = end.with_residual(y, old[at.row * residual.pitch + at.column]);
        }
        const int64_t to = at.row * out.pitch + at.column;
        if (out.dtype == DTYPE_I8) {
            static_cast<int8_t *>(out.data)[to] = end.stored(y);
        } else {
            static_cast<float *>(out.data)[to] = end.real(y);
        }
    }
}

} // namespace ingot

#endif
