/* Sums of matrix products whose depth is spread over blocks, which are added part by part in their order, so that
 * timing does not show in the result (D1). See cuda_gemm.h.
 *
 * Each block of a tile writes its sums to the workspace: [parts][rows][columns, padded to eights]. The one that counts
 * last adds them and finishes the tile. Blocks of a team read them from each other's shared memory; each finishes a
 * slice of the tile's rows. */
#ifndef INGOT_CUDA_GEMM_SPLIT_H
#define INGOT_CUDA_GEMM_SPLIT_H

#include "cuda_gemm_core.h"

namespace ingot {

/* The rows of a tile that a block finishes: a slice of them where it is one of a team. */
template <class Tile> struct finished_rows : tile_place<Tile> {
    static constexpr int slice = Tile::rows / Tile::team;
    static_assert(Tile::rows % Tile::team == 0, "equal slices");

    int first, end; /* of the tile, and of the result */

    DEVICE finished_rows(const tile_place<Tile> &at, int rows) : tile_place<Tile>(at) {
        first = Tile::team > 1 ? (int)blockIdx.x % Tile::team * slice : 0;
        this->row += first;
        end = rows < this->row + slice ? rows : this->row + slice;
    }

    /* Where the sums of those rows lie. */
    template <class S> DEVICE const S *of(const uint8_t *shared) const {
        return reinterpret_cast<const S *>(shared) + first * Tile::sum_pitch;
    }
};

/* Blocks of a team keep their shared memory until all have read it. */
template <class Tile> DEVICE void leave_team() {
#if defined(INGOT_CLUSTERS)
    if constexpr (Tile::team > 1) sync_cluster();
#endif
}

#if defined(INGOT_CLUSTERS)
template <class Tile, class S> DEVICE void join_team(S *tile) {
    typedef four_sums<S> four;
    constexpr int QUADS = Tile::columns / 4, ROWS = finished_rows<Tile>::slice;
    S *const own = tile + (int)blockIdx.x % Tile::team * ROWS * Tile::sum_pitch;
    sync_cluster();
#pragma unroll 2
    for (int i = (int)threadIdx.x; i < ROWS * QUADS; i += Tile::threads) {
        four *const to = reinterpret_cast<four *>(own + i / QUADS * Tile::sum_pitch + i % QUADS * 4);
        four parts[Tile::team], sum = {};
#pragma unroll
        for (int k = 0; k < Tile::team; k++) parts[k] = load_16_from_block((uint32_t)k, to);
#pragma unroll
        for (int k = 0; k < Tile::team; k++) {
#pragma unroll
            for (int n = 0; n < 4; n++) sum.at[n] += parts[k].at[n];
        }
        *to = sum;
    }
}
#endif

/* What a thread takes of a tile of sums: four neighbours of a row at a time. */
template <class Tile> struct quad_share {
    static constexpr int quads = Tile::columns / 4, all = Tile::rows * quads;
    static constexpr int count = (all + Tile::threads - 1) / Tile::threads;

    int left_rows, left_columns; /* of the result, from the tile on */

    DEVICE quad_share(const tile_place<Tile> &at, int rows, int pitch)
        : left_rows(rows - at.row), left_columns(pitch - at.column) {}
    static DEVICE int row(int i) { return ((int)threadIdx.x + i * Tile::threads) / quads; }
    static DEVICE int column(int i) { return ((int)threadIdx.x + i * Tile::threads) % quads * 4; }
    static DEVICE int placed(int i) { return row(i) * Tile::sum_pitch + column(i); }
    DEVICE bool has(int i) const { return row(i) < Tile::rows && row(i) < left_rows && column(i) < left_columns; }
};

/* Whether this block goes on with the tile, whose sums of all parts then lie where its own were, `groups` of them;
 * finishes wait for all threads before they read them. */
template <class Tile, class S>
DEVICE bool join_parts(S *tile, const ingot_cuda_tail &tail, const tile_place<Tile> &at, int rows, int columns,
                       int &groups) {
    if constexpr (Tile::team > 1) {
#if defined(INGOT_CLUSTERS)
        groups = 1;
        add_groups<Tile>(tile);
        join_team<Tile>(tile);
#endif
        return true;
    }
    typedef four_sums<S> four;
    typedef quad_share<Tile> share;
    constexpr int BATCH = share::count < 4 ? share::count : 4; /* reads that are under way together, of each part */
    const int parts = (int)gridDim.y;
    if (parts == 1) return true;
    groups = 1;
    add_groups<Tile>(tile);
    sync_block();
    const int pitch = (columns + 7) / 8 * 8;
    const int64_t part = (int64_t)rows * pitch;
    const share mine(at, rows, pitch);
    S *const all = static_cast<S *>(tail.workspace) + (int64_t)at.row * pitch + at.column;
#pragma unroll 4
    for (int i = 0; i < share::count; i++) {
        if (!mine.has(i)) continue;
        *reinterpret_cast<four *>(all + (int)blockIdx.y * part + mine.row(i) * pitch + mine.column(i)) =
            *reinterpret_cast<const four *>(tile + mine.placed(i));
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
    for (int first = 0; first < share::count; first += BATCH) {
        four sums[BATCH] = {};
#pragma unroll 2
        for (int k = 0; k < parts; k++) {
            four more[BATCH];
#pragma unroll
            for (int b = 0; b < BATCH; b++) {
                const int i = first + b;
                more[b] = mine.has(i)
                              ? *reinterpret_cast<const four *>(all + k * part + mine.row(i) * pitch + mine.column(i))
                              : four{};
            }
#pragma unroll
            for (int b = 0; b < BATCH; b++) {
#pragma unroll
                for (int n = 0; n < 4; n++) sums[b].at[n] += more[b].at[n];
            }
        }
#pragma unroll
        for (int b = 0; b < BATCH; b++) {
            if (mine.has(first + b)) *reinterpret_cast<four *>(tile + mine.placed(first + b)) = sums[b];
        }
    }
    return true;
}

} // namespace ingot

#endif
