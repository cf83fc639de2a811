/* The device kernel of pool, for any Fold: how the elements of a window become one. A Fold has
 *
 *     using in, acc, out, params;     element types, the parameter struct
 *     pool_of(params); Fold(const params &)
 *     acc init(), step(acc, in)
 *     struct end: end(const Fold &, int64_t inside, double counted); out of(acc)
 */
#ifndef INGOT_POOL_CUDA_H
#define INGOT_POOL_CUDA_H

#include "cuda_rows.h"
#include "cuda_window_tile.h"
#include "pool/pool.h"

namespace ingot {

/* What a window takes of an axis: `count` elements from `first` on; `counted` counts the padding too. */
struct pool_span {
    int32_t first, count, counted;
};

/* One of three spatial axes; missing ones come first and have extent 1. */
struct pool_axis {
    int32_t in, out, kernel, stride, dilation, pad_begin, pad_end;

    DEVICE pool_axis(const ingot_cuda_arg &x, const ingot_cuda_arg &y, const ingot_pool_params &p, int axis)
        : in(1), out(1), kernel(1), stride(1), dilation(1), pad_begin(0), pad_end(0) {
        const int from = axis + (int)x.rank - 5;
        if (from >= 0) {
            in = x.dims[from + 1];
            out = y.dims[from + 1];
            kernel = p.kernel[from];
            stride = p.stride[from];
            dilation = p.dilation[from];
            pad_begin = p.pad_begin[from];
            pad_end = p.pad_end[from];
        }
    }
    DEVICE int64_t steps(int64_t distance) const {
        return distance <= 0 ? 0 : dilation == 1 ? distance : (distance - 1) / dilation + 1;
    }
    /* As pool_span_of (pool_plan.h). */
    DEVICE pool_span span(int index) const {
        const int64_t begin = (int64_t)index * stride - pad_begin;
        if (begin >= 0 && begin + (int64_t)(kernel - 1) * dilation < in) return {(int32_t)begin, kernel, kernel};
        const int64_t skip = steps(-begin), end = smaller(steps(in - begin), (int64_t)kernel);
        const int32_t counted = (int32_t)smaller(steps((int64_t)in + pad_end - begin), (int64_t)kernel);
        if (end <= skip) return {0, 0, counted};
        return {(int32_t)(begin + skip * dilation), (int32_t)(end - skip), counted};
    }
};

struct pool_frame {
    pool_axis z, y, x;

    DEVICE pool_frame(const ingot_cuda_arg &in, const ingot_cuda_arg &out, const ingot_pool_params &p)
        : z(in, out, p, 0), y(in, out, p, 1), x(in, out, p, 2) {}
};

/* The window of one place of the output. */
struct pool_window {
    pool_span a, b, c;
    int32_t image;

    DEVICE pool_window(pool_span a, pool_span b, pool_span c) : a(a), b(b), c(c), image(0) {}
    DEVICE pool_window(const pool_frame &f, int place) {
        c = f.x.span(place % f.x.out);
        place /= f.x.out;
        b = f.y.span(place % f.y.out);
        place /= f.y.out;
        a = f.z.span(place % f.z.out);
        image = place / f.z.out;
    }
    DEVICE int64_t inside() const { return (int64_t)a.count * b.count * c.count; }
    DEVICE double counted() const { return (double)a.counted * (double)b.counted * (double)c.counted; }
    /* each(pixel of the input, z, y, x), from the first to the last */
    template <class Each> DEVICE void walk(const pool_frame &f, Each each) const {
        for (int i = 0, z = a.first; i < a.count; i++, z += f.z.dilation) {
            for (int j = 0, y = b.first; j < b.count; j++, y += f.y.dilation) {
                const int row = ((image * f.z.in + z) * f.y.in + y) * f.x.in;
                int x = c.first;
#pragma unroll 4
                for (int k = 0; k < c.count; k++, x += f.x.dilation) each(row + x, z, y, x);
            }
        }
    }
};

/* A thread does V channels of a place, neighbours side by side. */
template <class Fold, int V> struct pool_windows {
    static constexpr int threads = 128;
    static constexpr int blocks = 1;
    using In = typename Fold::in;
    using Acc = typename Fold::acc;
    using Out = typename Fold::out;
    using call = ingot::call<2, typename Fold::params>;

    static DEVICE void take(Acc (&a)[V], const Fold &fold, const pool_window &window, const pool_frame &frame,
                            const In *x, int64_t pitch, bool whole, int left) {
        window.walk(frame, [&](int pixel, int, int, int) {
            In e[V];
            load_some(e, x + pixel * pitch, whole, left, In{});
#pragma unroll
            for (int j = 0; j < V; j++) a[j] = fold.step(a[j], e[j]);
        });
    }
    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &in = c.arg[0], &out = c.arg[1];
        const Fold fold(c.params);
        const pool_frame frame(in, out, Fold::pool_of(c.params));
        const int channels = in.dims[in.rank - 1], vectors = (channels + V - 1) / V;
        const int all = out.dims[0] * frame.z.out * frame.y.out * frame.x.out * vectors;
        const In *x = static_cast<const In *>(in.data);
        Out *y = static_cast<Out *>(out.data);
        const bool whole = is_whole<V>(x) && in.pitch % V == 0, whole_out = is_whole<V>(y) && out.pitch % V == 0;
        for (int i = (int)(blockIdx.x * threads + threadIdx.x); i < all; i += (int)gridDim.x * threads) {
            const int place = i / vectors, channel = i % vectors * V;
            const int left = channels - channel;
            const pool_window window(frame, place);
            Acc a[V];
#pragma unroll
            for (int j = 0; j < V; j++) a[j] = fold.init();
            if (whole && left >= V) { /* told apart here, not at every access */
                take(a, fold, window, frame, x + channel, in.pitch, true, V);
            } else {
                take(a, fold, window, frame, x + channel, in.pitch, false, left);
            }
            const typename Fold::end end(fold, window.inside(), window.counted());
            Out result[V];
#pragma unroll
            for (int j = 0; j < V; j++) result[j] = end.of(a[j]);
            store_some(y + place * out.pitch + channel, result, whole_out, left);
        }
    }
};

/* Square windows over images with pixels: a thread has V channels of a place, and reads the whole window before it
 * folds it, from addresses that are valid even where it hangs over the border. */
template <class Fold, int WIDTH, int STRIDE, int V> struct pool_squares {
    static constexpr int threads = 128;
    static constexpr int blocks = 4;
    using In = typename Fold::in;
    using Acc = typename Fold::acc;
    using Out = typename Fold::out;
    using call = ingot::call<2, typename Fold::params>;
    using tile = window_tile<WIDTH, STRIDE, V, 1, 1>;

    static DEVICE void store(const call &c, const tile &t, const Fold &fold, const Acc (&a)[V], bool wide) {
        const ingot_cuda_arg &in = c.arg[0], &out = c.arg[1];
        const ingot_pool_params &p = Fold::pool_of(c.params);
        const pool_axis y(in, out, p, 1), x(in, out, p, 2);
        const pool_window window({0, 1, 1}, y.span(t.top), x.span(t.left));
        const typename Fold::end end(fold, window.inside(), window.counted());
        Out result[V];
#pragma unroll
        for (int j = 0; j < V; j++) result[j] = end.of(a[j]);
        store_some(static_cast<Out *>(out.data) + t.row(0, 0) * out.pitch + t.channel, result, wide, V);
    }
    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &in = c.arg[0], &out = c.arg[1];
        const ingot_pool_params &p = Fold::pool_of(c.params);
        const tile t(in, out, p.pad_begin[0], p.pad_begin[1]);
        if (!t.there(0, 0)) return;
        const Fold fold(c.params);
        const In *const x = static_cast<const In *>(in.data);
        Acc a[V];
#pragma unroll
        for (int j = 0; j < V; j++) a[j] = fold.init();
        const bool there = t.height > 0 && t.width > 0;
        if (there && are_pieces<In, V>(in)) {
            window_piece<sizeof(In) * V> read[WIDTH][WIDTH];
            t.load(read, x, in.pitch);
#pragma unroll
            for (int k = 0; k < WIDTH * WIDTH; k++) {
                In e[V];
                memcpy(e, read[k / WIDTH][k % WIDTH].words, sizeof e);
                const bool inside = t.inside(k / WIDTH, k % WIDTH);
#pragma unroll
                for (int j = 0; j < V; j++) {
                    const Acc next = fold.step(a[j], e[j]);
                    a[j] = inside ? next : a[j];
                }
            }
        } else {
#pragma unroll 1
            for (int k = 0; k < WIDTH * WIDTH; k++) {
                if (!t.inside(k / WIDTH, k % WIDTH)) continue;
                const In *const from = x + t.pixel(k / WIDTH, k % WIDTH) * in.pitch + t.channel;
#pragma unroll
                for (int j = 0; j < V; j++) a[j] = fold.step(a[j], from[j]);
            }
        }
        store(c, t, fold, a, are_pieces<Out, V>(out));
    }
};

/* Maxima and where they stood; a thread does one channel of a place. */
template <class T> struct pool_indices {
    static constexpr int threads = 128;
    static constexpr int blocks = 1;
    using call = ingot::call<3, ingot_pool_params>;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &in = c.arg[0], &out = c.arg[1];
        const pool_frame f(in, out, c.params);
        const int channels = in.dims[in.rank - 1], all = out.dims[0] * f.z.out * f.y.out * f.x.out * channels;
        for (int i = (int)(blockIdx.x * threads + threadIdx.x); i < all; i += (int)gridDim.x * threads) {
            const int place = i / channels, channel = i % channels;
            const pool_window window(f, place);
            const T *x = static_cast<const T *>(in.data) + channel;
            T best = T{};
            int index = -1;
            window.walk(f, [&](int pixel, int z, int y, int column) {
                const T value = x[pixel * in.pitch];
                if (value > best || index < 0) {
                    best = value;
                    index = c.params.storage_order == 0 ? (z * f.y.in + y) * f.x.in + column
                                                        : z + (y + column * f.y.in) * f.z.in;
                }
            });
            const bool none = index < 0;
            static_cast<T *>(out.data)[place * out.pitch + channel] = none ? least(T{}) : best;
            static_cast<int64_t *>(c.arg[2].data)[place * c.arg[2].pitch + channel] =
                none ? 0 : (int64_t)(window.image * channels + channel) * (f.z.in * f.y.in * f.x.in) + index;
        }
    }
    static DEVICE float least(float) { return -__builtin_inff(); }
    static DEVICE double least(double) { return -(double)__builtin_inff(); }
    static DEVICE int8_t least(int8_t) { return -128; }
    static DEVICE uint8_t least(uint8_t) { return 0; }
};

} // namespace ingot

#endif
