/* Large matrix products on sm_90a: tensor maps bring both operands, warp groups multiply.
 *
 * Two warp groups multiply, a third one has a thread that starts copies of boxes (64 rows of 128 bytes along the
 * depth). A stage of the ring has two barriers: `full` hears of the bytes, `empty` of the warps that are done with it.
 * A block goes on to other tiles until there is none left, and copies for the next one are under way while results are
 * stored. The two groups share a tile, or take TURNS: each makes one of its own, and stores while the other multiplies.
 * With a CLUSTER of two, the tiles of two blocks lie below each other, and each brings half of the columns to both. */
#ifndef INGOT_CUDA_GEMM_TMA_H
#define INGOT_CUDA_GEMM_TMA_H

#include "cuda_gemm_core.h"

#if defined(INGOT_WARP_GROUPS)
namespace ingot {

template <int ROWS, int COLUMNS, int STAGES, int CLUSTER, bool TURNS> struct tma_tile {
    static constexpr int rows = ROWS, columns = COLUMNS, stages = STAGES, cluster = CLUSTER, bytes = 128;
    static constexpr int groups = 2, threads = 128 * (groups + 1), box_rows = 64, box_bytes = box_rows * bytes;
    static constexpr bool turns = TURNS;
    static constexpr int sharing = TURNS ? 1 : groups; /* groups that share a tile */
    static constexpr int down = ROWS / sharing / 64;   /* of a group, products of 64 rows */
    static constexpr int a_bytes = ROWS * bytes, stage_bytes = (ROWS + COLUMNS) * bytes;
    static constexpr int shared = STAGES * stage_bytes; /* barriers follow */
    static constexpr int count = COLUMNS / 2;           /* sums of a thread and 64 rows */
    static constexpr int band = 2048 / (ROWS * CLUSTER);
    static_assert(ROWS % (64 * sharing) == 0 && COLUMNS % (64 * CLUSTER) == 0, "whole boxes");
};

/* Which tiles a block makes: every `step`th from `at` on. Neighbours in time share what caches hold. */
template <class Tile> struct tile_walk {
    int down, across, at, step, rank;

    DEVICE tile_walk(int rows, int columns) {
        down = (rows + Tile::rows * Tile::cluster - 1) / (Tile::rows * Tile::cluster);
        across = (columns + Tile::columns - 1) / Tile::columns;
        rank = Tile::cluster > 1 ? (int)cluster_rank() : 0;
        at = (int)blockIdx.x / Tile::cluster;
        step = (int)gridDim.x / Tile::cluster;
    }
    DEVICE bool exists() const { return at < down * across; }
    DEVICE void next(int times = 1) { at += times * step; }
    /* The first row and the first column of the tile. */
    DEVICE void place(int &row, int &column) const {
        const int of_band = Tile::band * across, band = at / of_band, rest = at % of_band;
        const int left = down - band * Tile::band, high = left < Tile::band ? left : Tile::band;
        row = ((band * Tile::band + rest % high) * Tile::cluster + rank) * Tile::rows;
        column = rest / high * Tile::columns;
    }
};

/* Where in the ring a thread is. */
template <class Tile> struct ring_place {
    int stage = 0;
    uint32_t phase = 0;

    DEVICE void next() {
        if (++stage == Tile::stages) {
            stage = 0;
            phase ^= 1;
        }
    }
    DEVICE void skip(int steps) {
        const int all = stage + steps, rounds = all / Tile::stages;
        stage = all - rounds * Tile::stages;
        phase ^= (uint32_t)rounds & 1u;
    }
};

/* What there is to multiply: `parts` times a depth of `depth` elements, which lie in b one behind the other, `padded`
 * elements each. */
struct tma_depth {
    int depth, padded, parts;
};

template <class T, class Tile> struct tma_ring {
    static constexpr int deep = Tile::bytes / (int)sizeof(T); /* elements of a stage */

    uint8_t *stages;
    uint64_t *full, *empty, *turn;

    DEVICE explicit tma_ring(uint8_t *shared) {
        stages = shared;
        full = reinterpret_cast<uint64_t *>(shared + Tile::shared);
        empty = full + Tile::stages;
        turn = empty + Tile::stages;
    }

    /* All threads of the block. */
    DEVICE void begin() {
        if (threadIdx.x == 0) {
            for (int i = 0; i < Tile::stages; i++) {
                barrier_init(full + i, 1);
                barrier_init(empty + i, 4 * Tile::sharing * Tile::cluster);
            }
            for (int i = 0; i < Tile::groups; i++) barrier_init(turn + i, 4);
            publish_barriers();
        }
        meet();
    }
    DEVICE void meet() {
        if constexpr (Tile::cluster > 1) {
            sync_cluster();
        } else {
            sync_block();
        }
    }

    /* One thread: starts all copies. Those of b, a constant, need not wait for other kernels. */
    DEVICE void produce(tile_walk<Tile> walk, const tma_depth &d, const tensor_map &a, const tensor_map &b) {
        ring_place<Tile> at;
        int ahead = 0; /* stages that wait for rows of a alone */
        prefetch_map(a);
        prefetch_map(b);
        if (walk.exists()) {
            int row, column;
            walk.place(row, column);
            for (; ahead < Tile::stages && ahead * deep < d.depth; ahead++) {
                barrier_expect(full + ahead, Tile::stage_bytes);
                copy_columns(stages + ahead * Tile::stage_bytes, b, ahead * deep, column, walk.rank, full + ahead);
            }
        }
        await_kernels();
        for (; walk.exists(); walk.next()) {
            int row, column;
            walk.place(row, column);
            for (int part = 0; part < d.parts; part++) {
#pragma unroll 1
                for (int k = 0; k < d.depth; k += deep) {
                    uint64_t *const barrier = full + at.stage;
                    uint8_t *const to = stages + at.stage * Tile::stage_bytes;
                    if (ahead > 0) {
                        ahead--;
                    } else {
                        barrier_wait(empty + at.stage, at.phase ^ 1);
                        barrier_expect(barrier, Tile::stage_bytes);
                        copy_columns(to, b, part * d.padded + k, column, walk.rank, barrier);
                    }
                    copy_rows(to, a, k, row, barrier);
                    at.next();
                }
            }
        }
    }
    static DEVICE void copy_rows(uint8_t *stage, const tensor_map &a, int k, int row, uint64_t *barrier) {
#pragma unroll
        for (int i = 0; i < Tile::rows; i += Tile::box_rows) copy_box(stage + i * Tile::bytes, a, k, row + i, barrier);
    }
    static DEVICE void copy_columns(uint8_t *stage, const tensor_map &b, int k, int column, int rank,
                                    uint64_t *barrier) {
        constexpr int own = Tile::columns / Tile::cluster;
        const int first = own * rank;
#pragma unroll
        for (int i = 0; i < own; i += Tile::box_rows) {
            uint8_t *const place = stage + Tile::a_bytes + (first + i) * Tile::bytes;
            if constexpr (Tile::cluster > 1) {
                copy_box_to((1u << Tile::cluster) - 1u, place, b, k, column + first + i, barrier);
            } else {
                copy_box(place, b, k, column + i, barrier);
            }
        }
    }

    /* A warp is done with a stage. */
    DEVICE void release(int stage) {
        sync_warp();
        const uint32_t lane = threadIdx.x % 32;
        if constexpr (Tile::cluster > 1) {
            if (lane < Tile::cluster) barrier_arrive_at(lane, empty + stage);
        } else {
            if (lane == 0) barrier_arrive(empty + stage);
        }
    }

    /* A warp group waits until the other one has taken all stages of the tile before its own: whoever waits for a stage
     * may be one phase behind, not more. `times`: how many tiles it has made. */
    DEVICE void await_turn(int group, int times) {
        if constexpr (Tile::turns) barrier_wait(turn + group, (uint32_t)(times + 1 - group) & 1u);
    }
    DEVICE void pass_turn(int group) {
        if constexpr (Tile::turns) {
            if (threadIdx.x % 32 == 0) barrier_arrive(turn + (1 - group));
        }
    }

    /* A warp group: makes its sums of the next tile. */
    template <class S> DEVICE void multiply(ring_place<Tile> &at, S (&sums)[Tile::down][Tile::count], int steps) {
        const int own = Tile::turns ? 0 : (int)threadIdx.x / 128 * Tile::down * Tile::box_bytes;
        int before = 0;
#pragma unroll
        for (int d = 0; d < Tile::down; d++) {
#pragma unroll
            for (int i = 0; i < Tile::count; i++) sums[d][i] = 0;
        }
#pragma unroll 1
        for (int i = 0; i < steps; i++) {
            const uint8_t *const a = stages + at.stage * Tile::stage_bytes, *const b = a + Tile::a_bytes;
            barrier_wait(full + at.stage, at.phase);
            group_begin();
#pragma unroll
            for (int k = 0; k < Tile::bytes; k += 32) {
#pragma unroll
                for (int d = 0; d < Tile::down; d++)
                    group_multiply<T>(sums[d], a + own + d * Tile::box_bytes + k, b + k);
            }
            group_commit();
            group_wait<1>();
            if (i > 0) release(before);
            before = at.stage;
            at.next();
        }
        sync_warp();
        pass_turn((int)threadIdx.x / 128);
        group_wait<0>();
#pragma unroll
        for (int d = 0; d < Tile::down; d++) group_settle(sums[d]);
        if (steps > 0) release(before);
    }
};

/* The four lanes of a row of a fragment have two columns of each eight of 32; afterwards each has one eight. */
template <class S> DEVICE void gather_eight(S (&x)[4][2]) {
    const int lane = (int)threadIdx.x % 4;
#pragma unroll
    for (int mask = 1; mask < 4; mask *= 2) {
        const bool high = (lane & mask) != 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i & mask) continue;
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const S got = shuffle_xor(high ? x[i][e] : x[i | mask][e], mask);
                x[i][e] = high ? got : x[i][e];
                x[i | mask][e] = high ? x[i | mask][e] : got;
            }
        }
    }
}

/* A unit of what a thread has: the part of 32 columns and 16 rows of a warp. Registers have no index, so that there is
 * code for each; what follows is there once. */
template <class Tile, class S>
DEVICE void take_unit(S (&x)[2][4][2], const S (&sums)[Tile::down][Tile::count], int unit) {
    constexpr int across = Tile::columns / 32;
#pragma unroll
    for (int u = 0; u < Tile::down * across; u++) {
        if (u != unit) continue;
#pragma unroll
        for (int i = 0; i < 16; i++) x[i / 2 % 2][i / 4][i % 2] = sums[u / across][u % across * 16 + i];
    }
}

/* Hands the sums of a tile to a finish, eight neighbours of a row at a time. What it reads arrives a unit ahead. */
template <class Tile, class Finish> struct fragment_finish {
    static constexpr int across = Tile::columns / 32, units = Tile::down * across;
    const Finish &finish;
    typename Finish::ahead next;
    int row, column;

    DEVICE explicit fragment_finish(const Finish &f) : finish(f) {}

    DEVICE int unit_row(int unit) const { return row + unit / across * 64; }
    DEVICE int unit_column(int unit) const { return column + unit % across * 32; }

    DEVICE void begin(int first_row, int first_column) {
        const int lane = (int)threadIdx.x % 32;
        const int group = Tile::turns ? 0 : (int)threadIdx.x / 128;
        row = first_row + group * Tile::down * 64 + (int)threadIdx.x / 32 % 4 * 16 + lane / 4;
        column = first_column + lane % 4 * 8;
        finish.read(next, row, column);
    }
    template <class S> DEVICE void operator()(const S (&sums)[Tile::down][Tile::count]) {
#pragma unroll 1
        for (int unit = 0; unit < units; unit++) {
            const typename Finish::ahead now = next;
            if (unit + 1 < units) finish.read(next, unit_row(unit + 1), unit_column(unit + 1));
            S x[2][4][2];
            take_unit<Tile>(x, sums, unit);
            gather_eight(x[0]);
            gather_eight(x[1]);
            finish.store(now, x, unit_row(unit), unit_column(unit));
        }
    }
};

/* The whole of a block, which waits for other kernels itself: a [rows][depth] by b [columns][depth], as the maps say.
 */
template <class T, class Tile, class Finish>
DEVICE void tma_product(const Finish &finish, int rows, int columns, const tma_depth &depth, const tensor_map &a,
                        const tensor_map &b, uint8_t *shared) {
    typedef typename sum_of<T>::type sum;
    tma_ring<T, Tile> ring(shared);
    tile_walk<Tile> walk(rows, columns);
    ring.begin();
    if (threadIdx.x >= 128 * Tile::groups) {
        fewer_registers<40>();
        if (threadIdx.x == 128 * Tile::groups) ring.produce(walk, depth, a, b);
        sync_warp();
    } else {
        more_registers<232>();
        const int steps = (depth.depth + ring.deep - 1) / ring.deep * depth.parts;
        const int turn = Tile::turns ? (int)threadIdx.x / 128 : 0, turns = Tile::turns ? Tile::groups : 1;
        ring_place<Tile> at;
        fragment_finish<Tile, Finish> end(finish);
        await_kernels();
        walk.next(turn);
        at.skip(turn * steps);
        int made = 0;
#pragma unroll 1
        for (; walk.exists(); walk.next(turns)) {
            sum sums[Tile::down][Tile::count];
            int row, column;
            walk.place(row, column);
            end.begin(row, column);
            ring.await_turn(turn, made++);
            ring.multiply(at, sums, steps);
            if (Tile::turns) at.skip(steps);
            end(sums);
        }
    }
    if constexpr (Tile::cluster > 1) ring.meet(); /* nobody leaves while others copy to it, or arrive at its barriers */
}

} // namespace ingot
#endif

#endif
