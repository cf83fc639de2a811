/* Transposes, tile by tile through shared memory, so that reads and writes both are of neighbours. */
#ifndef INGOT_TILES_CUDA_H
#define INGOT_TILES_CUDA_H

#include "strided_copy/loop_plan_cuda.h"

namespace ingot {

constexpr uint32_t TILE_LINES = LOOP_THREADS / 32; /* a warp has a line of the tile */

/* Which tile, and how much of it there is. */
struct move_square {
    move_place at;
    uint32_t rows, cols;
};

/* Tiles of side x side in all. */
DEVICE uint32_t tile_count(const move_plan &p, uint32_t side) {
    const uint32_t rows = p.loops[p.count - 2].extent, cols = p.loops[p.count - 1].extent;
    return p.total / rows / cols * ((rows + side - 1) / side) * ((cols + side - 1) / side);
}

DEVICE move_square tile_at(const move_plan &p, uint32_t side, uint32_t tile) {
    const move_loop &rows = p.loops[p.count - 2], &cols = p.loops[p.count - 1];
    const uint32_t down = (rows.extent + side - 1) / side, all = down * ((cols.extent + side - 1) / side);
    const uint32_t outer = tile / all, inner = tile - outer * all;
    const uint32_t row = inner % down * side, col = inner / down * side;
    move_place at = place_of(p, outer, p.count - 2);
    at.in += row + col * cols.in;
    at.out += row * rows.out + col * cols.out;
    return {at, rows.extent - row, cols.extent - col};
}

/* Rows of a tile are as far apart as keeps a column of it out of one bank. */
template <class T> struct move_tile {
    static constexpr int side = sizeof(T) < 4 ? 64 : 32;
    static constexpr int pitch = side + (sizeof(T) < 4 ? 4 / (int)sizeof(T) : 1);
};
constexpr int TILE_BYTES = 32 * 33 * 16; /* of the largest */

template <class T> DEVICE void copy_tiles(const move_plan &p, const T *in, T *out, T *tile) {
    constexpr uint32_t side = move_tile<T>::side, pitch = move_tile<T>::pitch;
    const move_loop &rows = p.loops[p.count - 2], &cols = p.loops[p.count - 1];
    const uint32_t lane = threadIdx.x % 32, line = threadIdx.x / 32, tiles = tile_count(p, side);
    for (uint32_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        const move_square s = tile_at(p, side, t);
#pragma unroll 4
        for (uint32_t j = line; j < side; j += TILE_LINES) {
#pragma unroll
            for (uint32_t i = lane; i < side; i += 32) {
                if (i < s.rows && j < s.cols) tile[j * pitch + i] = in[s.at.in + i + j * cols.in];
            }
        }
        sync_block();
#pragma unroll 4
        for (uint32_t i = line; i < side; i += TILE_LINES) {
#pragma unroll
            for (uint32_t j = lane; j < side; j += 32) {
                if (i < s.rows && j < s.cols) out[s.at.out + i * rows.out + j * cols.out] = tile[j * pitch + i];
            }
        }
        sync_block();
    }
}

/* Word `k` of the result has element k of each of the words. */
DEVICE void transpose_words(uint32_t (&w)[2]) {
    const uint32_t low = permute_bytes(w[0], w[1], 0x5410);
    w[1] = permute_bytes(w[0], w[1], 0x7632);
    w[0] = low;
}
DEVICE void transpose_words(uint32_t (&w)[4]) {
    const uint32_t low[2] = {permute_bytes(w[0], w[1], 0x5140), permute_bytes(w[2], w[3], 0x5140)};
    const uint32_t high[2] = {permute_bytes(w[0], w[1], 0x7362), permute_bytes(w[2], w[3], 0x7362)};
    w[0] = permute_bytes(low[0], low[1], 0x5410);
    w[1] = permute_bytes(low[0], low[1], 0x7632);
    w[2] = permute_bytes(high[0], high[1], 0x5410);
    w[3] = permute_bytes(high[0], high[1], 0x7632);
}

/* Elements of which EACH are a word: a thread transposes EACH words of as many columns on their way into the tile,
 * whose words are exchanged within a row so that threads of a warp meet other banks. */
template <uint32_t EACH>
DEVICE void copy_packed(const move_plan &p, const uint32_t *in, uint32_t *out, uint32_t *tile) {
    constexpr uint32_t side = 32 * EACH;
    const move_loop &rows = p.loops[p.count - 2], &cols = p.loops[p.count - 1];
    const uint32_t lane = threadIdx.x % 32, line = threadIdx.x / 32, tiles = tile_count(p, side);
    const int64_t in_step = cols.in / EACH, out_step = rows.out / EACH;
    for (uint32_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        const move_square s = tile_at(p, side, t);
        const uint32_t *from = in + s.at.in / EACH + lane;
        uint32_t *to = out + s.at.out / EACH + lane;
#pragma unroll 2
        for (uint32_t j = line; j < 32; j += TILE_LINES) {
            if (lane * EACH >= s.rows || j * EACH >= s.cols) continue;
            uint32_t words[EACH];
#pragma unroll
            for (uint32_t k = 0; k < EACH; k++) words[k] = from[(j * EACH + k) * in_step];
            transpose_words(words);
#pragma unroll
            for (uint32_t k = 0; k < EACH; k++) tile[(lane * EACH + k) * 32 + (j ^ lane)] = words[k];
        }
        sync_block();
#pragma unroll 4
        for (uint32_t i = line; i < side; i += TILE_LINES) {
            if (i < s.rows && lane * EACH < s.cols) to[i * out_step] = tile[i * 32 + (lane ^ i / EACH)];
        }
        sync_block();
    }
}

} // namespace ingot

#endif
