/* A nest of loops over input and output, the same but for the strides, and what it is made to before a copy: see
 * loops_cuda.h. */
#ifndef INGOT_LOOP_PLAN_CUDA_H
#define INGOT_LOOP_PLAN_CUDA_H

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
    uint32_t packed;    /* tiled, and small elements can be read and written four bytes at a time */
};

/* Joins neighbours where both sides allow, drops loops of one step, counts elements; gives the bits of all strides but
 * those of the last loop, and of where the first element lies. */
DEVICE uint64_t join_loops(move_plan &p) {
    uint32_t count = 0, total = 1;
    uint64_t strides = (uint64_t)(p.in | p.out);
    move_loop open = {1, 0, 0}; /* what the next loop may join */
#pragma unroll 1
    for (uint32_t i = 0; i < p.count; i++) {
        move_loop loop = p.loops[i];
        total *= loop.extent;
        if (loop.extent == 1) continue;
        if (open.extent != 1) {
            if (open.in == loop.in * loop.extent && open.out == loop.out * loop.extent) {
                loop.extent *= open.extent;
            } else {
                p.loops[count++] = open;
                strides |= (uint64_t)(open.in | open.out);
            }
        }
        open = loop;
    }
    if (open.extent != 1) p.loops[count++] = open;
    p.count = count;
    p.total = total;
    return strides;
}

/* Runs that are contiguous on both sides become fewer, wider units. `addresses` has the bits of both. */
DEVICE void widen(move_plan &p, uint32_t size, uint64_t strides, uint64_t addresses) {
    p.unit = size;
    if (p.count == 0) return;
    move_loop &run = p.loops[p.count - 1];
    if (run.in != 1 || run.out != 1) return;
    p.unit = widest_unit(addresses | (strides | run.extent) * size);
    const uint32_t shift = unit_shift(p.unit, size);
    if (shift == 0) return;
#pragma unroll 1
    for (uint32_t i = 0; i + 1 < p.count; i++) {
        p.loops[i].in >>= shift;
        p.loops[i].out >>= shift;
    }
    p.in >>= shift;
    p.out >>= shift;
    p.total >>= shift;
    run.extent >>= shift;
    if (run.extent == 1) p.count--;
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

/* Whether a transpose of units below four bytes can read and write whole words. */
DEVICE void find_words(move_plan &p, uint64_t addresses) {
    p.packed = 0;
    if (!p.tiled || p.unit >= 4 || p.loops[p.count - 1].out != 1) return;
    const move_loop &rows = p.loops[p.count - 2], &cols = p.loops[p.count - 1];
    uint64_t bits = (uint64_t)(p.in | p.out | rows.extent | rows.out | cols.extent | cols.in);
#pragma unroll 1
    for (uint32_t i = 0; i + 2 < p.count; i++) bits |= (uint64_t)(p.loops[i].in | p.loops[i].out);
    p.packed = (addresses | bits * p.unit) % 4 == 0;
}

/* All of it, by one thread; `size` is that of an element. */
DEVICE void make_plan(move_plan &p, uint32_t size, uint64_t addresses) {
    const uint64_t strides = join_loops(p);
    if (p.total == 0) return;
    widen(p, size, strides, addresses);
    find_transpose(p);
    find_words(p, addresses);
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

} // namespace ingot

#endif
