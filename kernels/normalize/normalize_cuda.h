/* What the device kernels of normalize fold, and the fold of groups of few channels. */
#ifndef INGOT_NORMALIZE_CUDA_H
#define INGOT_NORMALIZE_CUDA_H

#include "cuda_rows.h"
#include "normalize/normalize.h"

namespace ingot {

/* `rows` sets of n elements that are normalised together: each is runs of `run` elements, `pitch` apart. A row of LAYER
 * and RMS is one run. A group is a run at each place of the image; `groups` of them lie beside each other. */
struct normalized {
    int32_t rows, n, run, groups;
    int64_t pitch, image; /* elements from run to run, from image to image */
    bool flat;
    divisor by_run;

    DEVICE int64_t begin(int row) const {
        return flat ? (int64_t)row * n : row / groups * image + (int64_t)(row % groups) * run;
    }
    /* Where element i of a row stands, from its beginning. */
    DEVICE int64_t place(int i) const {
        const int at = by_run.of(i);
        return flat ? i : at * pitch + (i - at * run);
    }
    /* Its factor and offset. */
    DEVICE int column(int row, int i) const { return flat ? i : row % groups * run + (i - by_run.of(i) * run); }
};

DEVICE normalized normalized_of(const ingot_cuda_arg &x, const ingot_normalize_params &p) {
    const int last = (int)x.rank - 1;
    int outer = 1, inner = 1;
#pragma unroll
    for (int a = 0; a < 8; a++) {
        outer *= a < (int)p.axis ? x.dims[a] : 1;
        inner *= a >= (int)p.axis ? x.dims[a] : 1;
    }
    if (p.kind != INGOT_NORMALIZE_GROUP) return {outer, inner, inner, 1, inner, inner, true, divisor(1, 0)};
    const int channels = x.dims[last], images = x.dims[0], groups = (int)p.groups;
    const int all = outer * inner, of_group = channels / groups;
    const int places = all == 0 ? 0 : all / images / channels;
    const int rows = all == 0 ? 0 : images * groups;
    return {rows,     places * of_group,          of_group, groups,
            channels, (int64_t)places * channels, false,    divisor(of_group, (int64_t)places * of_group)};
}

/* Groups of fewer than COLUMNS channels: a block does as many whole groups as fit, thread t channel t % COLUMNS of
 * every (THREADS / COLUMNS)th place. Few columns make many blocks. */
template <int THREADS> struct few_channels {
    static constexpr int COLUMNS = 8, WARPS = THREADS / 32, STEP = THREADS / COLUMNS;
    int32_t channels, of_group, places, blocks; /* blocks: of an image */
    int64_t image;
    int32_t column, place; /* of this thread; in the block */

    DEVICE few_channels(const ingot_cuda_arg &x, uint32_t groups) {
        const normalized shape = normalized_of(x, {INGOT_NORMALIZE_GROUP, 0, groups, 0, 0.0});
        channels = (int32_t)shape.pitch;
        of_group = channels / (int)groups;
        places = shape.n / of_group;
        blocks = (channels - 1) / width() + 1;
        image = shape.image;
        column = (int)threadIdx.x % COLUMNS;
        place = (int)threadIdx.x / COLUMNS;
    }
    DEVICE int width() const { return COLUMNS / of_group * of_group; }
    /* The channel of this thread in a block; -1: none. */
    DEVICE int channel(int block) const {
        const int c = block % blocks * width() + column;
        return column < width() && c < channels ? c : -1;
    }
    /* The sum over all places and the channels of this thread's group. */
    template <class T> DEVICE T join(T x, T (&parts)[WARPS][COLUMNS]) const {
#pragma unroll
        for (int mask = 16; mask >= COLUMNS; mask /= 2) x += exchange(x, mask);
        sync_block();
        if (threadIdx.x % 32 < COLUMNS) parts[threadIdx.x / 32][column] = x;
        sync_block();
        T sum = 0;
        const int first = column / of_group * of_group;
        for (int c = first; c < first + of_group && c < COLUMNS; c++) {
            for (int warp = 0; warp < WARPS; warp++) sum += parts[warp][c];
        }
        return sum;
    }
};

} // namespace ingot

#endif
