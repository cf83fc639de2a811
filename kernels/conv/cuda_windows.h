/* Windows of channels-last images as rows of a matrix product: what convolutions put in the place of A. See
 * common/cuda_gemm.h.
 *
 * Rows are pixels of the result. The depth is [taps][channels, padded to whole chunks], or, where channels are few,
 * [taps][channels] element by element. A tap that falls outside of the image gives `fill`. */
#ifndef INGOT_CONV_CUDA_WINDOWS_H
#define INGOT_CONV_CUDA_WINDOWS_H

#include "conv.h"
#include "cuda_gemm_source.h"

namespace ingot {

/* Extents, brought to three spatial axes. */
struct image_extents {
    int in[3], out[3], channels;

    DEVICE image_extents(const ingot_cuda_arg &x, const ingot_cuda_arg &y) {
        const int missing = 5 - (int)x.rank;
        channels = x.dims[x.rank - 1];
#pragma unroll
        for (int i = 0; i < 3; i++) {
            in[i] = i < missing ? 1 : x.dims[1 + i - missing];
            out[i] = i < missing ? 1 : y.dims[1 + i - missing];
        }
    }
};

/* The first pixel of a window, as if the image had no borders, and which lines of taps fall into the image: bits of the
 * last axis first. The kernel's extents add up to at most 31. */
struct window_place {
    int pixel;
    uint32_t inside;

    DEVICE window_place(const image_extents &e, const ingot_conv_params &p, int row, int rows) {
        pixel = 0;
        inside = 0;
        if (row >= rows) return;
        int place[3], rest = row, bit = 0;
#pragma unroll
        for (int i = 2; i >= 0; i--) {
            const int extent = e.in[i];
            const int next = e.out[i] == 1 ? rest : (int)((uint32_t)rest / (uint32_t)e.out[i]);
            int at = (rest - next * e.out[i]) * p.strides[i] - p.pads_begin[i];
            rest = next;
            place[i] = at;
            for (int k = 0; k < p.kernel[i]; k++, bit++, at += p.dilations[i]) {
                inside |= ((uint32_t)at < (uint32_t)extent ? 1u : 0u) << bit;
            }
        }
        pixel = ((rest * e.in[0] + place[0]) * e.in[1] + place[1]) * e.in[2] + place[2];
    }
};

/* A tap: pixels from the first of a window, and the bits that say it is inside. */
struct tap_place {
    int pixel;
    uint32_t bits;

    DEVICE tap_place(const image_extents &e, const ingot_conv_params &p, int d, int h, int w) {
        pixel = (d * p.dilations[0] * e.in[1] + h * p.dilations[1]) * e.in[2] + w * p.dilations[2];
        bits = 1u << w | 1u << (p.kernel[2] + h) | 1u << (p.kernel[2] + p.kernel[1] + d);
    }
};

/* Taps and windows of a block in shared memory, each found once: divisions take longer than the copies that wait for
 * them. Offsets count elements. */
struct window_entry {
    int32_t offset;
    uint32_t bits; /* of a tap: those that say it is inside; of a window: those that are */
};

/* Behind the last tap comes one that is never inside. */
DEVICE void list_taps(window_entry *taps, const image_extents &e, const ingot_conv_params &p, int pitch, int threads) {
    const int count = p.kernel[0] * p.kernel[1] * p.kernel[2];
    for (int i = (int)threadIdx.x; i <= count; i += threads) {
        const int lines = i / p.kernel[2], d = lines / p.kernel[1];
        const tap_place tap(e, p, d, lines - d * p.kernel[1], i - lines * p.kernel[2]);
        taps[i] = i < count ? window_entry{tap.pixel * pitch, tap.bits} : window_entry{0, 1u << 31};
    }
}

DEVICE void list_windows(window_entry *windows, const image_extents &e, const ingot_conv_params &p, int pitch,
                         int first, int rows, int count, int threads) {
    for (int i = (int)threadIdx.x; i < count; i += threads) {
        const window_place window(e, p, first + i, rows);
        windows[i] = {window.pixel * pitch, window.inside};
    }
}

/* Chunk by chunk. Channels are padded to whole chunks, so that each is of one tap. */
template <class T, class X, class Tile> struct image_windows {
    typedef copy_share<Tile, Tile::rows> share;
    static constexpr int VEC = vec_of<T>::count, DEPTH = Tile::bytes / 16 * VEC;
    static constexpr bool may_be_direct = sizeof(T) == sizeof(X);

    const X *data;
    const window_entry *taps;
    int grain, channels, padded, channel, tap, count;
    window_entry at; /* the tap of `channel` */
    uint32_t fill;
    window_entry window[share::count];
    share mine;

    /* `tables`: in shared memory, for the block's windows and all taps. */
    DEVICE image_windows(const ingot_cuda_arg &x, const image_extents &e, const ingot_conv_params &p, int rows,
                         int first, int8_t fill_with, uint8_t *tables)
        : data(static_cast<const X *>(x.data)), channels(e.channels), tap(0) {
        window_entry *const windows = reinterpret_cast<window_entry *>(tables), *const all = windows + Tile::rows;
        list_windows(windows, e, p, (int)x.pitch, first, rows, Tile::rows, Tile::threads);
        list_taps(all, e, p, (int)x.pitch, Tile::threads);
        taps = all;
        count = p.kernel[0] * p.kernel[1] * p.kernel[2];
        grain = grain_of(x.data, x.pitch * (int64_t)sizeof(X));
        padded = (channels + VEC - 1) / VEC * VEC;
        channel = mine.chunk * VEC;
        fill = (uint8_t)fill_with * 0x01010101u;
        sync_block();
#pragma unroll
        for (int i = 0; i < share::count; i++) {
            window[i] = mine.has(i) ? windows[mine.row + i * share::step] : window_entry{0, 0};
        }
        at = taps[0];
        wrap();
    }

    /* Brings `channel` back into the channels of one tap. */
    DEVICE void wrap() {
        if (channel < padded) return;
        do {
            channel -= padded;
            tap++;
        } while (channel >= padded);
        at = taps[tap < count ? tap : count];
    }

    DEVICE void skip(int stages) {
        const int all = channel + stages * DEPTH;
        tap += all / padded;
        channel = all % padded;
        at = taps[tap < count ? tap : count];
    }

    /* Whether all chunks are whole and can be reached at once. */
    DEVICE bool is_direct() const { return grain == 16 && channels == padded; }

    template <bool DIRECT> DEVICE void load(uint8_t *stage) {
        const int left = channels - channel, place = at.offset + channel;
        const int found = DIRECT || left > VEC ? VEC : left;
#pragma unroll
        for (int i = 0; i < share::count; i++) {
            if (!mine.has(i)) continue;
            uint8_t *const to = mine.place(stage, i);
            const bool inner = (window[i].bits & at.bits) == at.bits;
            if (sizeof(T) == 1 && !inner) {
                *reinterpret_cast<chunk_of<uint32_t> *>(to) = {{fill, fill, fill, fill}};
                continue;
            }
            const int from = inner ? window[i].offset + place : 0, there = inner ? found : 0;
            if constexpr (DIRECT) {
                copy_async<16>(to, data + from, there * (int)sizeof(T));
            } else {
                copy_chunk<T>(to, data + from, there, grain);
            }
        }
        channel += DEPTH;
        wrap();
    }
};

/* Element by element, through a table of the depth in shared memory, which all threads of the block make. */
template <class T, class X, class Tile> struct image_elements {
    typedef copy_share<Tile, Tile::rows> share;
    static constexpr int VEC = vec_of<T>::count, DEPTH = Tile::bytes / 16 * VEC;
    static constexpr uint32_t NEVER = 1u << 31;
    static constexpr bool may_be_direct = false;

    const X *data;
    int64_t pitch;
    int depth, at;
    const window_entry *table;
    X fill;
    int pixel[share::count];
    uint32_t inside[share::count];
    share mine;

    DEVICE image_elements(const ingot_cuda_arg &x, const image_extents &e, const ingot_conv_params &p, int rows,
                          int first, int8_t fill_with, uint8_t *shared)
        : data(static_cast<const X *>(x.data)), pitch(x.pitch) {
        window_entry *const entries = reinterpret_cast<window_entry *>(shared);
        const int taps = p.kernel[0] * p.kernel[1] * p.kernel[2];
        depth = taps * e.channels;
        for (int i = (int)threadIdx.x; i < (depth + VEC - 1) / VEC * VEC; i += Tile::threads) {
            const int tap = i / e.channels, w = tap % p.kernel[2], lines = tap / p.kernel[2];
            const int h = lines % p.kernel[1], d = lines / p.kernel[1];
            if (i < depth) {
                const tap_place place(e, p, d, h, w);
                entries[i] = {(int32_t)(place.pixel * pitch) + i % e.channels, place.bits};
            } else {
                entries[i] = {0, NEVER};
            }
        }
        table = entries;
        at = mine.chunk * VEC;
        fill = X();
        if constexpr (sizeof(X) == 1) fill = (X)fill_with;
#pragma unroll
        for (int i = 0; i < share::count; i++) {
            const window_place window(e, p, first + mine.row + i * share::step, rows);
            pixel[i] = window.pixel;
            inside[i] = window.inside;
        }
        sync_block();
    }

    DEVICE void skip(int stages) { at += stages * DEPTH; }

    template <bool DIRECT> DEVICE void load(uint8_t *stage) {
#pragma unroll
        for (int i = 0; i < share::count; i++) {
            if (!mine.has(i)) continue;
            chunk_of<T> chunk = {};
            if (at < depth) {
                const X *const from = data + pixel[i] * pitch;
#pragma unroll
                for (int k = 0; k < VEC; k++) {
                    const window_entry tap = table[at + k];
                    const bool there = (inside[i] & tap.bits) == tap.bits;
                    chunk.at[k] = stored_as<T>(there ? load_input(from + tap.offset) : fill);
                }
            }
            *reinterpret_cast<chunk_of<T> *>(mine.place(stage, i)) = chunk;
        }
        at += DEPTH;
    }
};

} // namespace ingot

#endif
