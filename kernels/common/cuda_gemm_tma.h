/* Large matrix products on sm_90a: tensor maps bring both operands, warp groups multiply.
 *
 * Two warp groups multiply, a third one has a thread that starts copies of boxes (64 rows of 128 bytes along the
 * depth). A stage of the ring has two barriers: `full` hears of the bytes, `empty` of the warps that are done with it.
 * The two groups share a tile. A block goes on to other tiles until there is none left, and copies for the next one are
 * under way while results are stored. */
#ifndef INGOT_CUDA_GEMM_TMA_H
#define INGOT_CUDA_GEMM_TMA_H

#include "cuda_gemm_core.h"

#if defined(INGOT_WARP_GROUPS)
namespace ingot {

template <int ROWS, int COLUMNS, int STAGES> struct tma_tile {
    static constexpr int rows = ROWS, columns = COLUMNS, stages = STAGES, bytes = 128;
    static constexpr int groups = 2, threads = 128 * (groups + 1), box_rows = 64, box_bytes = box_rows * bytes;
    static constexpr int down = ROWS / groups / 64; /* of a group, products of 64 rows */
    static constexpr int a_bytes = ROWS * bytes, stage_bytes = (ROWS + COLUMNS) * bytes;
    static constexpr int shared = STAGES * stage_bytes; /* barriers follow */
    static constexpr int count = COLUMNS / 2;           /* sums of a thread and 64 rows */
    static constexpr int band = 2048 / ROWS;
    static_assert(ROWS % (64 * groups) == 0 && COLUMNS % 64 == 0, "whole boxes");
};

/* Which tiles a block makes: from its own number on, as far apart as there are blocks. Neighbours in time share what
 * caches hold. */
template <class Tile> struct tile_walk {
    int down, across, at;

    DEVICE tile_walk(int rows, int columns) {
        down = (rows + Tile::rows - 1) / Tile::rows;
        across = (columns + Tile::columns - 1) / Tile::columns;
        at = (int)blockIdx.x;
    }
    DEVICE bool exists() const { return at < down * across; }
    DEVICE void next() { at += (int)gridDim.x; }
    /* The first row and the first column of the tile. */
    DEVICE void place(int &row, int &column) const {
        const int of_band = Tile::band * across, band = at / of_band, rest = at % of_band;
        const int left = down - band * Tile::band, high = left < Tile::band ? left : Tile::band;
        row = (band * Tile::band + rest % high) * Tile::rows;
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
};

/* What there is to multiply: `parts` times a depth of `depth` elements, which lie in b one behind the other, `padded`
 * elements each. */
struct tma_depth {
    int depth, padded, parts;
};

template <class T, class Tile> struct tma_ring {
    static constexpr int deep = Tile::bytes / (int)sizeof(T); /* elements of a stage */

    uint8_t *stages;
    uint64_t *full, *empty;

    DEVICE explicit tma_ring(uint8_t *shared) {
        stages = shared;
        full = reinterpret_cast<uint64_t *>(shared + Tile::shared);
        empty = full + Tile::stages;
    }

    /* All threads of the block. */
    DEVICE void begin() {
        if (threadIdx.x == 0) {
            for (int i = 0; i < Tile::stages; i++) {
                barrier_init(full + i, 1);
                barrier_init(empty + i, 4 * Tile::groups);
            }
            publish_barriers();
        }
        sync_block();
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
                copy_rows<Tile::columns>(stages + ahead * Tile::stage_bytes + Tile::a_bytes, b, ahead * deep, column,
                                         full + ahead);
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
                        copy_rows<Tile::columns>(to + Tile::a_bytes, b, part * d.padded + k, column, barrier);
                    }
                    copy_rows<Tile::rows>(to, a, k, row, barrier);
                    at.next();
                }
            }
        }
    }
    /* ROWS rows of a stage, from that one of the tensor on. */
    template <int ROWS>
    static DEVICE void copy_rows(uint8_t *to, const tensor_map &map, int k, int row, uint64_t *barrier) {
#pragma unroll
        for (int i = 0; i < ROWS; i += Tile::box_rows) copy_box(to + i * Tile::bytes, map, k, row + i, barrier);
    }

    /* A warp is done with a stage. */
    DEVICE void release(int stage) {
        sync_warp();
        if (threadIdx.x % 32 == 0) barrier_arrive(empty + stage);
    }

    /* A warp group: makes its sums of the next tile. */
    template <class S> DEVICE void multiply(ring_place<Tile> &at, S (&sums)[Tile::down][Tile::count], int steps) {
        const int own = (int)threadIdx.x / 128 * Tile::down * Tile::box_bytes;
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
        row = first_row + (int)threadIdx.x / 128 * Tile::down * 64 + (int)threadIdx.x / 32 % 4 * 16 + lane / 4;
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
        ring_place<Tile> at;
        fragment_finish<Tile, Finish> end(finish);
        await_kernels();
#pragma unroll 1
        for (; walk.exists(); walk.next()) {
            sum sums[Tile::down][Tile::count];
            int row, column;
            walk.place(row, column);
            end.begin(row, column);
            ring.multiply(at, sums, steps);
            end(sums);
        }
    }
}

} // namespace ingot
#endif

#endif
