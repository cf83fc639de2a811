/* Copies over a nest of loops, the same in input and output but for the strides: what strided_copy and concat do.
 * Threads 0 to 7 of a block write the loops, all call `copy_loops`. Runs are moved in the widest units that addresses
 * and strides allow; where the input is contiguous along another loop than the output, tiles go through shared memory.
 */
#ifndef INGOT_LOOPS_CUDA_H
#define INGOT_LOOPS_CUDA_H

#include "strided_copy/movement_cuda.h"

namespace ingot {

constexpr int LOOP_THREADS = 256;
constexpr uint32_t TILE_LEAST = 16; /* shorter sides are not worth a tile */

struct move_loop {
    uint32_t extent;
    int64_t in, out; /* elements from one step to the next; units when planned */
};

struct move_plan {
    move_loop loops[8]; /* outermost first */
    int64_t in, out;    /* where the first element lies */
    uint32_t count;     /* of loops */
    uint32_t total;     /* units */
    uint32_t unit;      /* bytes */
    uint32_t tiled;     /* the last two loops are a transpose: the input is contiguous along the first of them */
};

/* Joins neighbours where both sides allow, drops loops of one step. */
DEVICE void join_loops(move_plan &p) {
    uint32_t count = 0;
#pragma unroll 1
    for (uint32_t i = 0; i < p.count; i++) {
        move_loop loop = p.loops[i];
        if (loop.extent == 1) continue;
        if (count) {
            const move_loop &before = p.loops[count - 1];
            if (before.in == loop.in * loop.extent && before.out == loop.out * loop.extent) {
                loop.extent *= before.extent;
                count--;
            }
        }
        p.loops[count++] = loop;
    }
    p.count = count;
}

/* Runs that are contiguous on both sides become fewer, wider units. */
DEVICE void widen(move_plan &p, uint32_t size, uint64_t in, uint64_t out) {
    p.unit = size;
    if (p.count == 0 || p.loops[p.count - 1].in != 1 || p.loops[p.count - 1].out != 1) return;
    uint64_t sizes = in | out | (uint64_t)(p.in | p.out | p.loops[p.count - 1].extent) * size;
#pragma unroll 1
    for (uint32_t i = 0; i + 1 < p.count; i++) sizes |= (uint64_t)(p.loops[i].in | p.loops[i].out) * size;
    p.unit = widest_unit(sizes);
    const uint32_t shift = (p.unit > size) + (p.unit > 2 * size) + (p.unit > 4 * size) + (p.unit > 8 * size);
#pragma unroll 1
    for (uint32_t i = 0; i + 1 < p.count; i++) {
        p.loops[i].in >>= shift;
        p.loops[i].out >>= shift;
    }
    p.in >>= shift;
    p.out >>= shift;
    p.loops[p.count - 1].extent >>= shift;
    if (p.loops[p.count - 1].extent == 1) p.count--;
}

/* Brings the loop along which the input is contiguous in front of the last one, if both are long. */
DEVICE void find_transpose(move_plan &p) {
    p.tiled = 0;
    if (p.count < 2) return;
    const uint32_t last = p.count - 1;
    if (p.loops[last].in == 0 || p.loops[last].in == 1 || p.loops[last].extent < TILE_LEAST) return;
#pragma unroll 1
    for (uint32_t i = 0; i < last; i++) {
        if (p.loops[i].in != 1 || p.loops[i].extent < TILE_LEAST) continue;
        const move_loop rows = p.loops[i];
#pragma unroll 1
        for (uint32_t k = i; k + 1 < last; k++) p.loops[k] = p.loops[k + 1];
        p.loops[last - 1] = rows;
        p.tiled = 1;
        return;
    }
}

/* Where step `index` of the first `count` loops lies. */
struct move_place {
    int64_t in, out;
};

DEVICE move_place place_of(const move_plan &p, uint32_t index, uint32_t count) {
    move_place at = {p.in, p.out};
#pragma unroll 1
    for (uint32_t i = count; i-- > 0;) {
        const move_loop &loop = p.loops[i];
        const uint32_t rest = i ? index / loop.extent : 0, step = index - rest * loop.extent;
        at.in += step * loop.in;
        at.out += step * loop.out;
        index = rest;
    }
    return at;
}

/* Each thread a unit, the output's in a row; several at a time, so that many reads are under way. */
template <class T> DEVICE void copy_units(const move_plan &p, const T *in, T *out) {
    constexpr int batch = 4;
    const uint32_t first = first_thread<LOOP_THREADS>(), all = all_threads<LOOP_THREADS>();
    for (uint64_t at = first; at < p.total; at += (uint64_t)batch * all) {
        T held[batch];
        move_place place[batch];
#pragma unroll
        for (int k = 0; k < batch; k++) {
            const uint64_t unit = at + (uint64_t)k * all;
            if (unit >= p.total) continue;
            place[k] = place_of(p, (uint32_t)unit, p.count);
            held[k] = in[place[k].in];
        }
#pragma unroll
        for (int k = 0; k < batch; k++) {
            if (at + (uint64_t)k * all < p.total) out[place[k].out] = held[k];
        }
    }
}

/* Rows of a tile are as far apart as keeps a column of it out of one bank. */
template <class T> struct move_tile {
    static constexpr int side = sizeof(T) < 4 ? 64 : 32;
    static constexpr int pitch = side + (sizeof(T) < 4 ? 4 / (int)sizeof(T) : 1);
};
constexpr int TILE_BYTES = 32 * 33 * 16; /* of the largest */

template <class T> DEVICE void copy_tiles(const move_plan &p, const T *in, T *out, T *tile) {
    constexpr uint32_t side = move_tile<T>::side, pitch = move_tile<T>::pitch, at_once = LOOP_THREADS / 32;
    const move_loop &rows = p.loops[p.count - 2], &cols = p.loops[p.count - 1];
    const uint32_t down = (rows.extent + side - 1) / side, across = (cols.extent + side - 1) / side;
    const uint32_t lane = threadIdx.x % 32, line = threadIdx.x / 32;
    const uint32_t tiles = p.total / rows.extent / cols.extent * down * across;
    for (uint32_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        const uint32_t outer = t / (down * across), inner = t % (down * across);
        const uint32_t row = inner % down * side, col = inner / down * side;
        move_place at = place_of(p, outer, p.count - 2);
        at.in += row + col * cols.in;
        at.out += row * rows.out + col * cols.out;
        const uint32_t some_rows = rows.extent - row, some_cols = cols.extent - col;
#pragma unroll
        for (uint32_t j = line; j < side; j += at_once) {
#pragma unroll
            for (uint32_t i = lane; i < side; i += 32) {
                if (i < some_rows && j < some_cols) tile[j * pitch + i] = in[at.in + i + j * cols.in];
            }
        }
        sync_block();
#pragma unroll
        for (uint32_t i = line; i < side; i += at_once) {
#pragma unroll
            for (uint32_t j = lane; j < side; j += 32) {
                if (i < some_rows && j < some_cols) out[at.out + i * rows.out + j * cols.out] = tile[j * pitch + i];
            }
        }
        sync_block();
    }
}

/* All threads of the block call it after the loops were written; `size` is that of an element. */
DEVICE void copy_loops(move_plan &p, uint32_t size, const void *in, void *out) {
    INGOT_SHARED(uint8_t, tile, [TILE_BYTES]);
    sync_block();
    if (threadIdx.x == 0) {
        uint32_t total = 1;
#pragma unroll 1
        for (uint32_t i = 0; i < p.count; i++) total *= p.loops[i].extent;
        if (total) {
            join_loops(p);
            widen(p, size, (uint64_t)(uintptr_t)in, (uint64_t)(uintptr_t)out);
            find_transpose(p);
        }
        p.total = total ? total / (p.unit / size) : 0;
    }
    sync_block();
    if (p.total == 0) return;
    with_unit(p.unit, [&](auto unit) {
        using T = decltype(unit);
        if (p.tiled) {
            copy_tiles(p, static_cast<const T *>(in), static_cast<T *>(out), reinterpret_cast<T *>(tile));
        } else {
            copy_units(p, static_cast<const T *>(in), static_cast<T *>(out));
        }
    });
}

} // namespace ingot

#endif
