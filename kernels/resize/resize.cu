/* resize: of float32, of float16 and bfloat16 in float32, and of float64; nearest, of elements of any type, as bits. */
#include "resize/resize_cuda.h"

namespace ingot {

struct resize_taps_of_floats {
    static DEVICE resize_tap tap(const ingot_resize_params &p, uint32_t axis, int i, int in, int out, int tap) {
        const resize_filter f = resize_filter_of(&p, axis, i, in, out);
        resize_tap t = resize_filter_tap(&p, &f, tap);
        t.offset = f.outside ? -1 : t.offset;
        return t;
    }
};

/* Nothing to weigh. */
template <class T> struct resize_copy : resize_taps_of_floats {
    using in = T;
    using out = T;
    using weight = float;
    using params = ingot_resize_params;

    static DEVICE const params &resize_of(const params &p) { return p; }
    DEVICE resize_copy(const params &) {}
    DEVICE T outside() const { return T{}; }
    template <int TAPS, int V>
    DEVICE void apply(T (&y)[V], const T *x, bool whole, const resize_entry<float> *columns,
                      const resize_entry<float> *rows, int) const {
        load_some(y, x + rows[0].at + columns[0].at, whole, V, T{});
    }
};

/* The rows are mixed, and then what lies along them. */
template <class In, class Out> struct resize_weigh : resize_taps_of_floats {
    using in = In;
    using out = Out;
    using T = real<In>;
    using weight = T;
    using params = ingot_resize_params;
    T value;

    static DEVICE const params &resize_of(const params &p) { return p; }
    DEVICE resize_weigh(const params &p) : value((T)p.extrapolation) {}
    DEVICE Out outside() const { return convert<Out>(value); }
    template <int TAPS, int V>
    DEVICE void apply(Out (&y)[V], const In *x, bool whole, const resize_entry<T> *columns, const resize_entry<T> *rows,
                      int mixed) const {
        T sum[V] = {};
#pragma unroll
        for (int t = 0; t < TAPS; t++) {
            T mix[V] = {};
#pragma unroll 4
            for (int k = 0; k < mixed; k++) {
                T e[V];
                load_some(e, x + rows[k].at + columns[t].at, whole, V, (T)0);
#pragma unroll
                for (int j = 0; j < V; j++) mix[j] += rows[k].weight * e[j];
            }
#pragma unroll
            for (int j = 0; j < V; j++) sum[j] += columns[t].weight * mix[j];
        }
#pragma unroll
        for (int j = 0; j < V; j++) y[j] = convert<Out>(sum[j]);
    }
};

/* Filters of any length: a thread an element, which makes its weights as it needs them. */
template <class In, class Out> struct resize_any {
    using op = resize_weigh<In, Out>;
    using T = real<In>;
    static constexpr int threads = 128;
    static constexpr int blocks = 1;
    using call = ingot::call<2, ingot_resize_params>;

    static DEVICE T weighed(const call &c, const resize_shape &s, const In *x, int row, int column, bool &outside) {
        const int taps = (int)resize_tap_count(&c.params, s.axis), mixed = resize_mixed(c.params, s.axis);
        T sum = 0;
        for (int t = 0; t < taps; t++) {
            const resize_tap along = resize_tap_of<op>(c.params, c.arg[0], c.arg[1], s.axis, column, t);
            T mix = 0;
            for (int k = 0; k < mixed; k++) {
                const resize_tap across = resize_row_of<op>(c.params, c.arg[0], c.arg[1], s.axis, row, k);
                outside = along.offset < 0 || across.offset < 0;
                if (outside) return 0;
                mix += (T)across.weight * convert<T>(x[along.offset + across.offset]);
            }
            sum += (T)along.weight * mix;
        }
        return sum;
    }
    static DEVICE void run(const call &c) {
        const resize_shape s(c.params, c.arg[1]);
        const int all = s.rows * s.width * s.run;
        const In *x = static_cast<const In *>(c.arg[0].data);
        for (int i = (int)(blockIdx.x * threads + threadIdx.x); i < all; i += (int)gridDim.x * threads) {
            const int place = i / s.run;
            bool outside = false;
            const T sum = weighed(c, s, x + i % s.run, place / s.width, place % s.width, outside);
            Out *y = static_cast<Out *>(c.arg[1].data) + s.place(i);
            *y = outside ? op(c.params).outside() : convert<Out>(sum);
        }
    }
};

} // namespace ingot
