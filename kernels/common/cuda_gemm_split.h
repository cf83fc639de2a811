/* Sums of matrix products whose depth is spread over blocks. See cuda_gemm.h.
 *
 * Each block of a tile writes its sums to the workspace: [parts][rows][columns, padded to eights]. The one that counts
 * last adds them, part by part in their order, so that timing does not show in the result (D1). */
#ifndef INGOT_CUDA_GEMM_SPLIT_H
#define INGOT_CUDA_GEMM_SPLIT_H

#include "cuda_gemm_core.h"

namespace ingot {

/* Whether this block goes on with the tile, whose sums of all parts then lie where its own were. */
template <class Tile, class S>
DEVICE bool join_parts(S *tile, const ingot_cuda_tail &tail, const tile_place<Tile> &at, int rows, int columns) {
    const int parts = (int)gridDim.y;
    if (parts == 1) return true;
    constexpr int QUADS = Tile::columns / 4;
    const int pitch = (columns + 7) / 8 * 8;
    const int64_t part = (int64_t)rows * pitch;
    S *const all = static_cast<S *>(tail.workspace), *const own = all + (int)blockIdx.y * part;
#pragma unroll 1
    for (int i = (int)threadIdx.x; i < Tile::rows * QUADS; i += Tile::threads) {
        const int row = i / QUADS, column = i % QUADS * 4;
        if (at.row + row >= rows || at.column + column >= pitch) continue;
        *reinterpret_cast<four_sums<S> *>(own + (int64_t)(at.row + row) * pitch + at.column + column) =
            *reinterpret_cast<const four_sums<S> *>(tile + row * Tile::sum_pitch + column);
    }
    uint32_t *const before = reinterpret_cast<uint32_t *>(tile + Tile::columns); /* between two rows */
    uint32_t *const counter = tail.counters + blockIdx.x;
    fence_device();
    sync_block();
    if (threadIdx.x == 0) *before = atomic_add(counter, 1);
    sync_block();
    if (*before != (uint32_t)parts - 1) return false;
    fence_device();
    if (threadIdx.x == 0) store_volatile(counter, 0);
#pragma unroll 1
    for (int i = (int)threadIdx.x; i < Tile::rows * QUADS; i += Tile::threads) {
        const int row = i / QUADS, column = i % QUADS * 4;
        if (at.row + row >= rows || at.column + column >= pitch) continue;
        const S *const from = all + (int64_t)(at.row + row) * pitch + at.column + column;
        four_sums<S> sum = *reinterpret_cast<const four_sums<S> *>(from);
#pragma unroll 4
        for (int k = 1; k < parts; k++) {
            const four_sums<S> more = *reinterpret_cast<const four_sums<S> *>(from + k * part);
#pragma unroll
            for (int n = 0; n < 4; n++) sum.at[n] += more.at[n];
        }
        *reinterpret_cast<four_sums<S> *>(tile + row * Tile::sum_pitch + column) = sum;
    }
    sync_block();
    return true;
}

} // namespace ingot

#endif
