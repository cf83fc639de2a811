/* Copies over a nest of loops, the same in input and output but for the strides: what strided_copy and concat do.
 * The first threads of a block write the loops, all call `copy_loops`. Runs are moved in the widest units that
 * addresses and strides allow; where the input is contiguous along another loop than the output, tiles go through
 * shared memory. */
#ifndef INGOT_LOOPS_CUDA_H
#define INGOT_LOOPS_CUDA_H

#include "strided_copy/tiles_cuda.h"

namespace ingot {

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

/* All threads of the block call it after the loops were written; `size` is that of an element. */
DEVICE void copy_loops(move_plan &p, uint32_t size, const void *in, void *out) {
    INGOT_SHARED(uint8_t, tile, [TILE_BYTES]);
    sync_block();
    if (threadIdx.x == 0) make_plan(p, size, (uint64_t)(uintptr_t)in | (uint64_t)(uintptr_t)out);
    sync_block();
    if (p.total == 0) return;
    with_unit(p.unit, [&](auto unit) {
        using T = decltype(unit);
        if constexpr (sizeof(T) < 4) {
            if (p.packed) {
                copy_packed<4 / sizeof(T)>(p, static_cast<const uint32_t *>(in), static_cast<uint32_t *>(out),
                                           reinterpret_cast<uint32_t *>(tile));
                return;
            }
        }
        if (p.tiled) {
            copy_tiles(p, static_cast<const T *>(in), static_cast<T *>(out), reinterpret_cast<T *>(tile));
        } else {
            copy_units(p, static_cast<const T *>(in), static_cast<T *>(out));
        }
    });
}

} // namespace ingot

#endif
