/* The frame of the device kernels of resize: a block makes the tables of a few rows and of some places along them, and
 * then the results, a thread V elements of a run at a time. */
#ifndef INGOT_RESIZE_CUDA_H
#define INGOT_RESIZE_CUDA_H

#include "cuda_rows.h"
#include "resize/resize_taps.h"

namespace ingot {

/* An element of the input and what it weighs; at -1: the result is the extrapolation value. */
template <class Weight> struct resize_entry {
    int32_t at;
    Weight weight;
};

/* The output is rows along `axis`, the last that is resized, of runs that nothing is interpolated in. */
struct resize_shape {
    uint32_t axis;
    int32_t rows, width, run, last;
    int64_t pitch; /* of the output */

    DEVICE resize_shape(const ingot_resize_params &p, const ingot_cuda_arg &y)
        : axis(0), rows(1), width(1), run(1), last(y.dims[y.rank - 1]), pitch(y.pitch) {
        for (uint32_t a = 0; a < y.rank; a++) axis = resize_is_resized(&p, a) ? a : axis;
        for (uint32_t a = 0; a < y.rank; a++) {
            rows *= a < axis ? y.dims[a] : 1;
            run *= a > axis ? y.dims[a] : 1;
        }
        width = y.dims[axis];
    }
    /* Where element i of the output is. */
    DEVICE int64_t place(int i) const { return pitch == last ? i : i / last * pitch + i % last; }
};

/* How many rows of the input a row is mixed from. */
DEVICE int resize_mixed(const ingot_resize_params &p, uint32_t axis) {
    int mixed = 1;
    for (uint32_t a = 0; a < axis; a++) mixed *= (int)resize_tap_count(&p, a);
    return mixed;
}

/* Elements of the input from one index of an axis to the next. */
DEVICE int resize_stride(const ingot_cuda_arg &x, uint32_t axis) {
    int stride = 1;
    for (uint32_t a = axis + 1; a < x.rank; a++) stride *= x.dims[a];
    return stride;
}

/* Tap `tap` of index i of an axis: what Op::tap makes of it, or the element itself where nothing is resized. */
template <class Op>
DEVICE resize_tap resize_tap_of(const ingot_resize_params &p, const ingot_cuda_arg &x, const ingot_cuda_arg &y,
                                uint32_t axis, int i, int tap) {
    resize_tap t = {i, 1.0};
    if (resize_is_resized(&p, axis)) t = Op::tap(p, axis, i, x.dims[axis], y.dims[axis], tap);
    if (t.offset >= 0) t.offset *= resize_stride(x, axis);
    return t;
}

/* Combination `k` of the taps of the axes before the row's. */
template <class Op>
DEVICE resize_tap resize_row_of(const ingot_resize_params &p, const ingot_cuda_arg &x, const ingot_cuda_arg &y,
                                uint32_t axis, int row, int k) {
    resize_tap mixed = {0, 1.0};
    for (uint32_t a = axis; a-- > 0; row /= y.dims[a]) {
        const int taps = (int)resize_tap_count(&p, a);
        const resize_tap t = resize_tap_of<Op>(p, x, y, a, row % y.dims[a], k % taps);
        mixed.offset = mixed.offset < 0 || t.offset < 0 ? -1 : mixed.offset + t.offset;
        mixed.weight *= t.weight;
        k /= taps;
    }
    return mixed;
}

/* An Op has
 *
 *     using in, out, params, weight;    element types, the parameter struct
 *     resize_of(params); tap(...) of one index; Op(const params &)
 *     void apply(out (&y)[V], x, whole, columns, rows, mixed): elements of a run that begin at x, at all entries
 *     out outside() */
template <class Op, int TAPS, int V, int ROWS, int WIDTH> struct resize_rows {
    static constexpr int threads = 256;
    static constexpr int blocks = 1;
    static constexpr int MIXED = 64;
    using In = typename Op::in;
    using Out = typename Op::out;
    using entry = resize_entry<typename Op::weight>;
    using call = ingot::call<2, typename Op::params>;

    static DEVICE void run(const call &c) {
        INGOT_SHARED(entry, columns, [WIDTH][TAPS]);
        INGOT_SHARED(entry, rows, [ROWS][MIXED]);
        const ingot_resize_params &p = Op::resize_of(c.params);
        const ingot_cuda_arg &x = c.arg[0], &y = c.arg[1];
        const resize_shape s(p, y);
        const Op op(c.params);
        const In *from = static_cast<const In *>(x.data);
        Out *to = static_cast<Out *>(y.data);
        const int mixed = smaller(resize_mixed(p, s.axis), MIXED), vectors = (s.run - 1) / V + 1;
        const int across = (s.width - 1) / WIDTH + 1, tiles = s.run > 0 ? ((s.rows - 1) / ROWS + 1) * across : 0;
        const bool whole = is_whole<V>(from), whole_out = is_whole<V>(to) && s.pitch % V == 0;
        for (int tile = (int)blockIdx.x; tile < tiles; tile += (int)gridDim.x) {
            const int first = tile % across * WIDTH, row = tile / across * ROWS;
            const int width = smaller(WIDTH, s.width - first), height = smaller(ROWS, s.rows - row);
            sync_block();
            for (int i = (int)threadIdx.x; i < width * TAPS; i += threads) {
                const resize_tap t = resize_tap_of<Op>(p, x, y, s.axis, first + i / TAPS, i % TAPS);
                columns[i / TAPS][i % TAPS] = {(int32_t)t.offset, (typename Op::weight)t.weight};
            }
            for (int i = (int)threadIdx.x; i < height * mixed; i += threads) {
                const resize_tap t = resize_row_of<Op>(p, x, y, s.axis, row + i / mixed, i % mixed);
                rows[i / mixed][i % mixed] = {(int32_t)t.offset, (typename Op::weight)t.weight};
            }
            sync_block();
            const int all = height * width * vectors;
            const divisor by_vectors(vectors, all), by_width(width, all);
#pragma unroll 2
            for (int i = (int)threadIdx.x; i < all; i += threads) {
                const int pixel = by_vectors.of(i), r = by_width.of(pixel);
                const int e = (i - pixel * vectors) * V, column = pixel - r * width;
                Out result[V];
                if (columns[column][0].at < 0 || rows[r][0].at < 0) {
#pragma unroll
                    for (int j = 0; j < V; j++) result[j] = op.outside();
                } else if (whole) { /* told apart here, not at every access */
                    op.template apply<TAPS>(result, from + e, true, columns[column], rows[r], mixed);
                } else {
                    op.template apply<TAPS>(result, from + e, false, columns[column], rows[r], mixed);
                }
                const int at = ((row + r) * s.width + first + column) * s.run + e;
                store_some(to + s.place(at), result, whole_out, V);
            }
        }
    }
};

} // namespace ingot

#endif
