/* Tiles of an image's pixels with V channels each, and the windows above them: what depthwise convolutions and pooling
 * with square windows read. */
#ifndef INGOT_CUDA_WINDOW_TILE_H
#define INGOT_CUDA_WINDOW_TILE_H

#include "cuda_device.h"

namespace ingot {

/* What one access reads: 4, 8 or 16 bytes. */
template <int BYTES> struct alignas(BYTES) window_piece {
    uint32_t words[BYTES / 4];

    /* The same where `there`, else four times `fill` in each word. */
    DEVICE void keep(bool there, uint32_t fill) {
#pragma unroll
        for (int i = 0; i < BYTES / 4; i++) words[i] = there ? words[i] : fill;
    }
};

/* Whether pieces of V elements can be reached in every row. */
template <class T, int V> DEVICE bool are_pieces(const ingot_cuda_arg &a) {
    constexpr uint64_t bytes = sizeof(T) * V;
    return ((uint64_t)(uintptr_t)a.data | (uint64_t)a.pitch * sizeof(T)) % bytes == 0;
}

/* The grid has lines of tiles along y, images after one another, and in each channels before pixels along x. Images
 * are not empty. */
template <int WIDTH, int STRIDE, int V, int ROWS, int PIXELS> struct window_tile {
    static constexpr int LINES = (ROWS - 1) * STRIDE + WIDTH, COLUMNS = (PIXELS - 1) * STRIDE + WIDTH;
    int channels, channel, height, width, out_height, out_width;
    int image, top, left; /* of the result: its image, line and column */
    int line, column;     /* where the first window begins in the image */

    DEVICE window_tile(const ingot_cuda_arg &x, const ingot_cuda_arg &y, int pad_above, int pad_left)
        : channels(x.dims[3]), height(x.dims[1]), width(x.dims[2]), out_height(y.dims[1]), out_width(y.dims[2]) {
        const uint32_t chunks = (uint32_t)channels / V, index = blockIdx.x * blockDim.x + threadIdx.x;
        const uint32_t down = (uint32_t)(out_height + ROWS - 1) / ROWS, across = index / chunks;
        image = (int)(blockIdx.y / down);
        top = (int)(blockIdx.y % down) * ROWS;
        channel = (int)(index % chunks) * V;
        left = (int)across * PIXELS;
        if (image >= x.dims[0]) left = out_width;
        line = top * STRIDE - pad_above;
        column = left * STRIDE - pad_left;
    }

    /* Whether pixel p of row r of the tile is one of the result, and which. */
    DEVICE bool there(int r, int p) const { return top + r < out_height && left + p < out_width; }
    DEVICE int64_t row(int r, int p) const { return (int64_t)(image * out_height + top + r) * out_width + left + p; }

    DEVICE bool inside(int l, int k) const {
        return (uint32_t)(line + l) < (uint32_t)height && (uint32_t)(column + k) < (uint32_t)width;
    }
    DEVICE int64_t pixel(int l, int k) const { return (int64_t)(image * height + line + l) * width + column + k; }

    static DEVICE int clamped(int i, int count) {
        i = i < count ? i : count - 1;
        return i > 0 ? i : 0;
    }

    /* All pieces of the windows; those outside of the image are others of it. */
    template <class T>
    DEVICE void load(window_piece<sizeof(T) * V> (&read)[LINES][COLUMNS], const T *x, int64_t pitch) const {
        const T *const from = x + (int64_t)image * height * width * pitch + channel;
        int lines[LINES], columns[COLUMNS];
#pragma unroll
        for (int l = 0; l < LINES; l++) lines[l] = clamped(line + l, height) * width;
#pragma unroll
        for (int k = 0; k < COLUMNS; k++) columns[k] = clamped(column + k, width);
#pragma unroll
        for (int l = 0; l < LINES; l++) {
#pragma unroll
            for (int k = 0; k < COLUMNS; k++) {
                const T *const at = from + (lines[l] + columns[k]) * (int)pitch;
                read[l][k] = *reinterpret_cast<const window_piece<sizeof(T) * V> *>(at);
            }
        }
    }
};

} // namespace ingot

#endif
