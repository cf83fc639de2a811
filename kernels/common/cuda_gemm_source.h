/* Sources of matrix products: what fills the rows of a stage. See cuda_gemm.h.
 *
 * Rows come in chunks of 16 bytes: VEC elements. T is what is multiplied, X what is stored: the same, or float32 that
 * is rounded on its way. Chunks that are aligned go by asynchronous copies, others by smaller ones or element by
 * element; who knows the alignment is the kernel alone, since operands may be views or somebody else's memory. */
#ifndef INGOT_CUDA_GEMM_SOURCE_H
#define INGOT_CUDA_GEMM_SOURCE_H

#include "cuda_gemm.h"

namespace ingot {

template <class T> struct vec_of { static constexpr int count = 16 / (int)sizeof(T); };
template <class T> struct alignas(16) chunk_of { T at[16 / sizeof(T)]; };

template <class T, class X> DEVICE T stored_as(X x) {
    if constexpr (sizeof(T) == sizeof(X)) {
        return x;
    } else {
        return from_float<T>(to_float(x));
    }
}

/* The largest power of two up to 16 that divides the address and the pitch (in bytes) of rows. */
DEVICE int grain_of(const void *data, int64_t pitch_bytes) {
    const uint32_t low = (uint32_t)(uintptr_t)data | (uint32_t)pitch_bytes | 16u;
    return (int)(low & (0u - low));
}

template <int N> DEVICE void copy_pieces(uint8_t *to, const void *from, int bytes) {
#pragma unroll
    for (int i = 0; i < 16; i += N) {
        const int left = bytes - i, there = left < 0 ? 0 : left < N ? left : N;
        copy_async<N>(to + i, static_cast<const uint8_t *>(from) + (there > 0 ? i : 0), there);
    }
}

/* A chunk of which `count` elements are there; the rest becomes zero. `from` is valid even where there are none. */
template <class T, class X> DEVICE void copy_chunk(uint8_t *to, const X *from, int count, int grain) {
    if constexpr (sizeof(T) == sizeof(X)) {
        if (grain == 16) return copy_async<16>(to, from, count * (int)sizeof(T));
        if (grain == 8) return copy_pieces<8>(to, from, count * (int)sizeof(T));
        if (grain == 4) return copy_pieces<4>(to, from, count * (int)sizeof(T));
    }
    constexpr int VEC = vec_of<T>::count;
    chunk_of<T> chunk = {};
    if (sizeof(X) > sizeof(T) && grain == 16 && count == VEC) {
#pragma unroll
        for (int i = 0; i < VEC; i += 4) {
            const chunk_of<X> four = load_input(reinterpret_cast<const chunk_of<X> *>(from + i));
#pragma unroll
            for (int k = 0; k < vec_of<X>::count; k++) chunk.at[i + k] = stored_as<T>(four.at[k]);
        }
    } else {
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            if (i < count) chunk.at[i] = stored_as<T>(load_input(from + i));
        }
    }
    *reinterpret_cast<chunk_of<T> *>(to) = chunk;
}

/* The i-th of `count` rows, and one that there is in the place of those that there are not, whose sums are never
 * stored: always another one. Were it the last one, all blocks would ask for that many times at once, and a line of the
 * second-level cache is in one place, which answers one request a clock. */
DEVICE int existing_row(int i, int count) { return i < count ? i : (int)((uint32_t)(i - count) % (uint32_t)count); }

/* -- packed weights: [columns][depth], whole chunks ---------------------------------------------------------------- */

/* Sources keep offsets in elements, which fit 32 bits, of rows that exist: what is behind the last one is never stored.
 * Little is to be done for a copy: where few warps are at work the next stage waits for it. */
template <class T, class Tile> struct packed_weights {
    typedef copy_share<Tile, Tile::columns> share;
    static constexpr int VEC = vec_of<T>::count;
    static constexpr bool may_be_direct = true;
    const T *data;
    int depth, at, start[share::count];
    share mine;

    /* Columns from `first` on, without the first `stages` of the depth. */
    DEVICE packed_weights(const ingot_cuda_arg &w, int first, int stages) {
        data = static_cast<const T *>(w.data);
        depth = (int)w.pitch;
        at = mine.chunk * VEC + stages * (Tile::bytes / 16 * VEC);
#pragma unroll
        for (int i = 0; i < share::count; i++) {
            start[i] = existing_row(first + mine.row + i * share::step, w.dims[0]) * depth;
        }
    }

    DEVICE bool is_direct() const { return true; }

    template <bool DIRECT> DEVICE void load(uint8_t *stage) {
        const int there = at < depth ? 16 : 0, place = at < depth ? at : 0;
#pragma unroll
        for (int i = 0; i < share::count; i++) {
            if (mine.has(i)) copy_async<16>(mine.place(stage, i), data + (start[i] + place), there);
        }
        at += Tile::bytes / 16 * VEC;
    }
};

/* The stages of all their depth. */
template <class T, class Tile> DEVICE int stages_of(const ingot_cuda_arg &w) {
    return ((int)w.pitch * (int)sizeof(T) + Tile::bytes - 1) / Tile::bytes;
}

/* -- a matrix as it comes: ROWS rows of a stage ---------------------------------------------------------------------
 */

/* [rows][depth]. PARTS: it is gone through several times, each time padded to whole chunks. */
template <class T, class X, class Tile, int ROWS, bool PARTS = false> struct matrix_rows {
    typedef copy_share<Tile, ROWS> share;
    static constexpr int VEC = vec_of<T>::count;
    static constexpr bool may_be_direct = sizeof(T) == sizeof(X);
    const X *data;
    int depth, at, grain, parts, start[share::count];
    share mine;

    /* Rows from `first` on of `all` rows of `length` elements. */
    DEVICE matrix_rows(const X *matrix, int64_t pitch, int all, int length, int first, int times = 1) {
        data = matrix;
        depth = length;
        parts = times;
        grain = grain_of(matrix, pitch * (int64_t)sizeof(X));
        at = mine.chunk * VEC;
#pragma unroll
        for (int i = 0; i < share::count; i++) {
            start[i] = existing_row(first + mine.row + i * share::step, all) * (int)pitch;
        }
        wrap();
    }

    /* Whether all chunks are whole and can be reached at once. */
    DEVICE bool is_direct() const { return grain == 16 && depth % VEC == 0; }

    DEVICE void skip(int stages) {
        at += stages * (Tile::bytes / 16 * VEC);
        wrap();
    }

    DEVICE void wrap() {
        if constexpr (!PARTS) return;
        const int padded = (depth + VEC - 1) / VEC * VEC;
        while (parts > 1 && at >= padded) {
            at -= padded;
            parts--;
        }
    }

    template <bool DIRECT> DEVICE void load(uint8_t *stage) {
        const int left = depth - at, place = left > 0 ? at : 0;
        const int count = left <= 0 ? 0 : DIRECT || left > VEC ? VEC : left;
#pragma unroll
        for (int i = 0; i < share::count; i++) {
            if (!mine.has(i)) continue;
            if constexpr (DIRECT) {
                copy_async<16>(mine.place(stage, i), data + (start[i] + place), count * (int)sizeof(T));
            } else {
                copy_chunk<T>(mine.place(stage, i), data + (start[i] + place), count, grain);
            }
        }
        at += Tile::bytes / 16 * VEC;
        wrap();
    }
};

/* [depth][rows]: neighbours in memory are rows, so that threads side by side take rows side by side. */
template <class T, class Tile, int ROWS> struct matrix_columns {
    static constexpr int VEC = vec_of<T>::count, CHUNKS = Tile::bytes / 16;
    static constexpr bool may_be_direct = false;
    const T *data;
    int64_t pitch;
    int rows, depth, at;

    DEVICE matrix_columns(const T *matrix, int64_t row_pitch, int all, int length, int first) {
        pitch = row_pitch;
        data = matrix + first;
        rows = all - first;
        depth = length;
        at = 0;
    }

    template <bool DIRECT> DEVICE void load(uint8_t *stage) {
#pragma unroll
        for (int i = 0; i < ROWS * CHUNKS; i += Tile::threads) {
            const int place = i + (int)threadIdx.x, row = place % ROWS, chunk = place / ROWS, first = at + chunk * VEC;
            if (ROWS * CHUNKS % Tile::threads != 0 && chunk >= CHUNKS) break;
            chunk_of<T> all = {};
#pragma unroll
            for (int k = 0; k < VEC; k++) {
                if (row < rows && first + k < depth) all.at[k] = load_input(data + (first + k) * pitch + row);
            }
            *reinterpret_cast<chunk_of<T> *>(stage + staged<Tile::bytes>(row, chunk)) = all;
        }
        at += CHUNKS * VEC;
    }
};

} // namespace ingot

#endif
