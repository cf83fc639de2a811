/* Matrix products on CUDA: one frame for convolutions and products.
 *
 * A block makes a tile of the result, `rows` x `columns`. Both operands lie in shared memory as rows of `bytes` bytes
 * along the depth, in a ring of stages that copies fill while earlier ones are used. So three things go together and
 * know nothing of each other:
 *   - sources fill the rows of a stage: rows of a matrix, windows of an image, packed weights (cuda_gemm_source.h);
 *   - cores multiply and add: tensor cores, or plain arithmetic of float32 (cuda_gemm_core.h);
 *   - finishes turn sums into results (cuda_gemm_finish.h). */
#ifndef INGOT_CUDA_GEMM_H
#define INGOT_CUDA_GEMM_H

#include "cuda_device.h"

namespace ingot {

/* How a block does its tile. WARPS_K: groups of warps that take turns along the depth; their sums are added in order.
 * The blocks of a grid that lie behind each other (y), or TEAM blocks side by side that are a cluster, cut the depth of
 * a tile into as many parts: `split_depth` says which stages a block has, cuda_gemm_split.h adds what they have made.
 */
template <int ROWS, int COLUMNS, int BYTES, int STAGES, int WARPS_M, int WARPS_N, int WARPS_K, int TEAM = 1>
struct gemm_tile {
    static constexpr int rows = ROWS, columns = COLUMNS, bytes = BYTES, stages = STAGES, team = TEAM;
    static constexpr int warps_m = WARPS_M, warps_n = WARPS_N, warps_k = WARPS_K;
    static constexpr int threads = 32 * WARPS_M * WARPS_N * WARPS_K;
    static constexpr int stage_bytes = (ROWS + COLUMNS) * BYTES;
    /* Of the tile of sums, which takes the place of the stages; eight more, so that fragments fall into all banks. */
    static constexpr int sum_pitch = COLUMNS + 8, sum_count = ROWS * sum_pitch;
};

/* Where 16 bytes of a row lie: chunks change places, so that one chunk of eight rows falls into all banks. */
template <int BYTES> DEVICE int staged(int row, int chunk) {
    static_assert(BYTES == 64 || BYTES % 128 == 0, "rows of four chunks, or of eights");
    return row * BYTES + (BYTES == 64 ? (chunk ^ (row >> 1 & 3)) * 16 : (chunk ^ (row & 7)) * 16);
}

/* What a thread copies of the ROWS rows of a stage: one chunk of every `step`th row from `row` on. */
template <class Tile, int ROWS> struct copy_share {
    static constexpr int chunks = Tile::bytes / 16, step = Tile::threads / chunks;
    static constexpr int count = (ROWS + step - 1) / step;

    int row, chunk;

    DEVICE copy_share() : row((int)threadIdx.x / chunks), chunk((int)threadIdx.x % chunks) {}
    /* Whether there is an i-th row for this thread. */
    DEVICE bool has(int i) const { return ROWS % step == 0 || row + i * step < ROWS; }
    DEVICE uint8_t *place(uint8_t *stage, int i) const { return stage + staged<Tile::bytes>(row + i * step, chunk); }
};

/* The extents of all axes but the last one, multiplied. */
DEVICE int rows_of(const ingot_cuda_arg &a) {
    int rows = 1;
#pragma unroll
    for (int i = 0; i < 7; i++) rows *= i + 1 < (int)a.rank ? a.dims[i] : 1;
    return rows;
}

/* x / n for n from 1 to 8: others wait for it, and a division takes some hundred clocks. */
DEVICE uint32_t divide_by_few(uint32_t x, uint32_t n) {
    if (x >= 8192) return x / n; /* below it this is exact, by the ceiling of 65536 / n */
    const uint32_t odd = n == 3 ? 21846u : n == 5 ? 13108u : n == 6 ? 10923u : 9363u;
    const uint32_t even = n == 8 ? 8192u : n == 4 ? 16384u : n == 2 ? 32768u : 65536u;
    return x * ((n & (n - 1)) == 0 ? even : odd) >> 16;
}

/* Which tile of the result a block makes. Neighbours share columns of eight tiles, which caches hold. */
template <class Tile> struct tile_place {
    int row, column;
    bool exists;

    DEVICE tile_place(int rows, int columns) {
        const int down = (rows + Tile::rows - 1) / Tile::rows, across = (columns + Tile::columns - 1) / Tile::columns;
        const uint32_t of_band = 8u * (uint32_t)(across > 0 ? across : 1), block = blockIdx.x / (uint32_t)Tile::team;
        const uint32_t band = down > 16 ? block / of_band : block >= of_band ? 1u : 0u, rest = block - band * of_band;
        const int left = down - (int)band * 8, high = left < 8 ? left : 8;
        const uint32_t line = divide_by_few(rest, high > 0 ? (uint32_t)high : 1u);
        exists = high > 0 && (int)line < across;
        row = exists ? (int)(band * 8u + rest - line * (uint32_t)high) * Tile::rows : 0;
        column = exists ? (int)line * Tile::columns : 0;
    }
};

/* The stages of the depth that a block has. */
struct depth_part {
    int first, count;
};

template <class Tile> DEVICE depth_part split_depth(int steps) {
    if (Tile::team == 1 && gridDim.y == 1) return {0, steps};
    const int parts = Tile::team > 1 ? Tile::team : (int)gridDim.y, each = (steps + parts - 1) / parts;
    const int first = (Tile::team > 1 ? (int)blockIdx.x % Tile::team : (int)blockIdx.y) * each;
    return {first, first >= steps ? 0 : steps - first < each ? steps - first : each};
}

/* How many stages of `steps` are asked for at once: all where they have places of their own. */
template <class Tile, class Core> DEVICE int stages_ahead(int steps) {
    constexpr int AHEAD = Tile::stages - 1 - Core::lag;
    static_assert(AHEAD >= 1, "too few stages");
    return steps <= Tile::stages ? steps : AHEAD;
}

/* Starts the copies of the first stages of B, before A is known: what it takes to find that is hidden behind them. */
template <bool DIRECT, class Tile, class Core, class B> DEVICE void load_ahead(B &b, uint8_t *shared, int steps) {
    constexpr int A_BYTES = Tile::rows * Tile::bytes;
    const int first = stages_ahead<Tile, Core>(steps);
#pragma unroll 1
    for (int i = 0; i < first; i++) b.template load<DIRECT>(shared + i * Tile::stage_bytes + A_BYTES);
}

template <class Tile, class Core, class B> DEVICE void load_ahead(B &b, uint8_t *shared, int steps) {
    if constexpr (B::may_be_direct) {
        if (b.is_direct()) return load_ahead<true, Tile, Core>(b, shared, steps);
    }
    load_ahead<false, Tile, Core>(b, shared, steps);
}

/* Goes through `steps` stages of the depth; B was loaded ahead. DIRECT: all copies are asynchronous ones of 16 bytes;
 * what other operands take would lie between the instructions of the loop, which has to be short. A core may use a
 * stage for `lag` steps longer than its own. `finish` begins when the first copies are on their way. */
template <bool DIRECT, class Tile, class Core, class A, class B, class Finish>
DEVICE void multiply_stages(Core &core, A &a, B &b, uint8_t *shared, int steps, Finish &finish) {
    constexpr int A_BYTES = Tile::rows * Tile::bytes, AHEAD = Tile::stages - 1 - Core::lag;
    const int first = stages_ahead<Tile, Core>(steps);
#pragma unroll 1
    for (int i = 0; i < first || i < AHEAD; i++) {
        if (i < first) a.template load<DIRECT>(shared + i * Tile::stage_bytes);
        if (i < AHEAD - 1 || i + 1 >= first) copy_commit(); /* the last group has what is left */
    }
    finish.begin();
    int filled = AHEAD, used = 0;
#pragma unroll 1
    for (int i = 0; i < steps; i++) {
        copy_wait<AHEAD - 1>();
        Core::publish();
        sync_block();
        if (first < steps && i + AHEAD < steps) {
            a.template load<DIRECT>(shared + filled * Tile::stage_bytes);
            b.template load<DIRECT>(shared + filled * Tile::stage_bytes + A_BYTES);
        }
        copy_commit();
        const uint8_t *stage = shared + used * Tile::stage_bytes;
        core.step(stage, stage + A_BYTES);
        filled = filled + 1 == Tile::stages ? 0 : filled + 1;
        used = used + 1 == Tile::stages ? 0 : used + 1;
    }
    core.finish();
    copy_wait<0>();
    sync_block();
}

template <class Tile, class Core, class A, class B, class Finish>
DEVICE void multiply_tile(Core &core, A &a, B &b, uint8_t *shared, int steps, Finish &finish) {
    if constexpr (A::may_be_direct && B::may_be_direct) {
        if (a.is_direct() && b.is_direct()) return multiply_stages<true, Tile>(core, a, b, shared, steps, finish);
    }
    multiply_stages<false, Tile>(core, a, b, shared, steps, finish);
}

} // namespace ingot

#endif
