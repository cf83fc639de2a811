/* Scattering without atomics, in the order of the updates: each block owns a part of the output, looks at all indices,
 * and applies the updates that fall into its part. There, each element belongs to one thread. */
#ifndef INGOT_SCATTER_CUDA_H
#define INGOT_SCATTER_CUDA_H

#include "scatter_nd/scatter_nd.h"
#include "strided_copy/movement_cuda.h"

namespace ingot {

constexpr uint32_t SCATTER_THREADS = 256;

/* The type in which integers wrap around. */
template <class T> struct wrapping { using type = uint64_t; };
template <> struct wrapping<float> { using type = float; };
template <> struct wrapping<double> { using type = double; };

/* What is there, and an update; combine_cpu.c says what becomes of NaN. */
template <int REDUCTION, class T> DEVICE T combined(T a, T b) {
    using W = typename wrapping<T>::type;
    switch (REDUCTION) { /* a constant */
    case INGOT_SCATTER_ADD: return (T)((W)a + (W)b);
    case INGOT_SCATTER_MUL: return (T)((W)a * (W)b);
    case INGOT_SCATTER_MAX: return b > a || b != b ? b : a;
    case INGOT_SCATTER_MIN: return b < a || b != b ? b : a;
    default: return b;
    }
}

/* What is scattered: `items` updates of `slice` elements, each to one of `places` in the output. */
struct scatter_extents {
    uint32_t items, places, slice;
};

/* The first of `count` things that belongs to one of `parts`. */
DEVICE uint32_t part_begin(uint32_t count, uint32_t parts, uint32_t part) {
    return (uint32_t)((uint64_t)count * part / parts);
}

/* `place_of(item)` gives where an update goes, -1 for an index out of range. blockIdx.x says which places the block
 * owns, blockIdx.y which elements of them. */
template <int REDUCTION, class T, class Place>
DEVICE void scatter(const ingot_cuda_tail &tail, const scatter_extents &e, const T *data, const T *updates, T *out,
                    Place place_of) {
    INGOT_SHARED(uint32_t, item, [SCATTER_THREADS]);
    INGOT_SHARED(uint32_t, place, [SCATTER_THREADS]);
    INGOT_SHARED(uint32_t, found, [SCATTER_THREADS / 32]);
    const uint32_t first = part_begin(e.places, gridDim.x, blockIdx.x);
    const uint32_t owned = part_begin(e.places, gridDim.x, blockIdx.x + 1) - first;
    const uint32_t begin = part_begin(e.slice, gridDim.y, blockIdx.y);
    const uint32_t width = part_begin(e.slice, gridDim.y, blockIdx.y + 1) - begin;
    if (out != data) {
        for (uint32_t i = threadIdx.x; i < owned * width; i += SCATTER_THREADS) {
            const uint32_t row = i / width;
            const uint32_t at = (first + row) * e.slice + begin + (i - row * width);
            out[at] = data[at];
        }
    }
    /* the threads of an update: enough for its elements; the other groups of threads have other places */
    uint32_t group = 1;
    while (group < width && group < SCATTER_THREADS) group *= 2;
    const uint32_t groups = SCATTER_THREADS / group, own = threadIdx.x / group, lane = threadIdx.x % group;
    const uint32_t warp = threadIdx.x / 32, before = (1u << threadIdx.x % 32) - 1;
    for (uint32_t base = 0; base < e.items; base += SCATTER_THREADS) {
        const uint32_t mine = base + threadIdx.x;
        int64_t to = 0;
        bool hit = false;
        if (mine < e.items) {
            to = place_of(mine);
            if (to < 0) report(tail);
            hit = to >= first && to < (int64_t)first + owned;
        }
        const uint32_t hits = ballot(hit);
        if (threadIdx.x % 32 == 0) found[warp] = count_bits(hits);
        sync_block();
        uint32_t at = 0, all = 0;
        for (uint32_t w = 0; w < SCATTER_THREADS / 32; w++) {
            at += w < warp ? found[w] : 0;
            all += found[w];
        }
        if (hit) {
            at += count_bits(hits & before);
            item[at] = mine;
            place[at] = (uint32_t)to;
        }
        sync_block();
        for (uint32_t i = 0; i < all; i++) {
            if (place[i] % groups != own) continue;
            const uint32_t from = item[i] * e.slice + begin, there = place[i] * e.slice + begin;
            for (uint32_t k = lane; k < width; k += group) {
                out[there + k] = combined<REDUCTION>(out[there + k], updates[from + k]);
            }
        }
    }
}

} // namespace ingot

#endif
