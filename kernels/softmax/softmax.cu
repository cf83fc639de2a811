/* softmax, log_softmax and hardmax of float32, of float16 and bfloat16 in float32, and of float64. A row is held in the
 * registers of a team of threads, a warp or a block; a longer one is read three times; along another axis than the last
 * each thread has a column. Input and output may be the same bytes: every element is read for the last time by the
 * thread that writes it. */
#include "cuda_rows.h"
#include "softmax/softmax.h"
#include "vmath.h"

namespace ingot {

DEVICE float exp_nonpositive(float x) { return ingot_exp_nonpositive_f32(x); }
DEVICE double exp_nonpositive(double x) { return exp_f64(x); }
DEVICE float log_of(float x) { return ingot_log_f32(x); }
DEVICE double log_of(double x) { return log_f64(x); }

template <class T> DEVICE T lowest() { return (T)-__builtin_inff(); }

/* What is left to do with an element once the sum over its row is known. */
template <class T> struct softmax_end {
    uint32_t kind;
    T most, factor; /* 1 / sum, or its logarithm */

    DEVICE softmax_end(uint32_t kind, T most, T sum)
        : kind(kind), most(most), factor(kind == INGOT_LOG_SOFTMAX ? log_of(sum) : 1 / sum) {}
    DEVICE T of(T x) const {
        return kind == INGOT_LOG_SOFTMAX ? (x - most) - factor : exp_nonpositive(x - most) * factor;
    }
};

/* A row's share of a thread: elements V by V, TEAM * V apart. */
template <class T, int TEAM, int EACH> struct softmax_share {
    static constexpr int V = per_access<T>;
    T x[EACH / V][V];

    static DEVICE int place(int chunk) { return (chunk * TEAM + (int)threadIdx.x % TEAM) * V; }
    template <class In> DEVICE void load(const In *row, int n, bool whole) {
#pragma unroll
        for (int k = 0; k < EACH / V; k++) load_some(x[k], row + place(k), whole, n - place(k), lowest<T>());
    }
    DEVICE T largest() const {
        T most = lowest<T>();
#pragma unroll
        for (int i = 0; i < EACH; i++) most = larger(most, x[i / V][i % V]);
        return most;
    }
    /* Where `most` stands first; `none` if nowhere. */
    DEVICE int first_of(T most, int none) const {
        int first = none;
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            const int at = place(i / V) + i % V;
            first = x[i / V][i % V] == most ? smaller(first, at) : first;
        }
        return first;
    }
    template <class Out> DEVICE void store(Out *row, int n, bool whole) const {
#pragma unroll
        for (int k = 0; k < EACH / V; k++) store_some(row + place(k), x[k], whole, n - place(k));
    }
};

template <class In, class Out, int TEAM, int EACH> struct softmax_rows {
    using T = real<In>;
    static constexpr int threads = TEAM > 128 ? TEAM : 128;
    static constexpr int blocks = 1;
    static constexpr int V = per_access<T>;
    using call = ingot::call<2, ingot_softmax_params>;

    /* The first largest element is 1. A NaN is passed over, unless it is the first. */
    static DEVICE void hardmax(softmax_share<T, TEAM, EACH> &share, T first, T most, int n, int *places) {
        int at = join_team<TEAM>(share.first_of(most, n), places, smaller<int>);
        at = first != first ? 0 : at;
#pragma unroll
        for (int i = 0; i < EACH; i++) share.x[i / V][i % V] = (T)(share.place(i / V) + i % V == at);
    }
    static DEVICE void run(const call &c) {
        INGOT_SHARED(T, parts, [32]);
        INGOT_SHARED(int, places, [32]);
        const lines l = lines_of(c.arg[0], c.params.axis);
        const In *x = static_cast<const In *>(c.arg[0].data);
        Out *y = static_cast<Out *>(c.arg[1].data);
        const bool whole = is_whole<V>(x) && is_whole<V>(y) && l.n % V == 0;
        const int step = (int)gridDim.x * (threads / TEAM);
        softmax_share<T, TEAM, EACH> share;
        for (int row = (int)(blockIdx.x * (threads / TEAM) + threadIdx.x / TEAM); row < l.outer; row += step) {
            const int64_t at = (int64_t)row * l.n;
            share.load(x + at, l.n, whole);
            const T first = convert<T>(x[at]);
            const T most = join_team<TEAM>(share.largest(), parts, larger<T>);
            if (c.params.kind == INGOT_HARDMAX) {
                hardmax(share, first, most, l.n, places);
                share.store(y + at, l.n, whole);
                continue;
            }
            T sum = 0, e[EACH];
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                e[i] = share.place(i / V) + i % V < l.n ? exp_nonpositive(share.x[i / V][i % V] - most) : (T)0;
                sum += e[i];
            }
            const softmax_end<T> end(c.params.kind, most, join_team<TEAM>(sum, parts, add<T>));
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                T &value = share.x[i / V][i % V];
                value = c.params.kind == INGOT_LOG_SOFTMAX ? end.of(value) : e[i] * end.factor;
            }
            share.store(y + at, l.n, whole);
        }
    }
};

/* Rows that do not fit registers, a block each. */
template <class In, class Out> struct softmax_long {
    using T = real<In>;
    static constexpr int threads = 512;
    static constexpr int blocks = 1;
    static constexpr int EACH = 16, V = per_access<T>;
    using call = ingot::call<2, ingot_softmax_params>;

    static DEVICE void run(const call &c) {
        INGOT_SHARED(T, parts, [32]);
        INGOT_SHARED(int, places, [32]);
        const lines l = lines_of(c.arg[0], c.params.axis);
        const In *x = static_cast<const In *>(c.arg[0].data);
        Out *y = static_cast<Out *>(c.arg[1].data);
        const bool whole = is_whole<V>(x) && is_whole<V>(y) && l.n % V == 0;
        softmax_share<T, threads, EACH> share;
        for (int row = (int)blockIdx.x; row < l.outer; row += (int)gridDim.x) {
            const In *from = x + (int64_t)row * l.n;
            Out *to = y + (int64_t)row * l.n;
            const T head = convert<T>(from[0]);
            T most = lowest<T>(), sum = 0;
            int place = l.n;
            for (int i = 0; i < l.n; i += threads * EACH) {
                share.load(from + i, l.n - i, whole);
                most = larger(most, share.largest());
            }
            most = join_team<threads>(most, parts, larger<T>);
            for (int i = 0; i < l.n; i += threads * EACH) {
                share.load(from + i, l.n - i, whole);
                if (c.params.kind == INGOT_HARDMAX) {
                    place = smaller(place, i + share.first_of(most, l.n - i));
                    continue;
                }
                T part = 0;
#pragma unroll
                for (int j = 0; j < EACH; j++) {
                    const bool inside = i + share.place(j / V) + j % V < l.n;
                    part += inside ? exp_nonpositive(share.x[j / V][j % V] - most) : (T)0;
                }
                sum += part;
            }
            place = join_team<threads>(place, places, smaller<int>);
            place = head != head ? 0 : place;
            const softmax_end<T> end(c.params.kind, most, join_team<threads>(sum, parts, add<T>));
            for (int i = 0; i < l.n; i += threads * EACH) {
                share.load(from + i, l.n - i, whole);
#pragma unroll
                for (int j = 0; j < EACH; j++) {
                    T &value = share.x[j / V][j % V];
                    const bool is_place = i + share.place(j / V) + j % V == place;
                    value = c.params.kind == INGOT_HARDMAX ? (T)is_place : end.of(value);
                }
                share.store(to + i, l.n - i, whole);
            }
        }
    }
};

/* Along another axis than the last: a thread a column, neighbours side by side. */
template <class In, class Out> struct softmax_columns {
    using T = real<In>;
    static constexpr int threads = 128;
    static constexpr int blocks = 1;
    using call = ingot::call<2, ingot_softmax_params>;

    static DEVICE void hardmax(Out *y, const In *x, int n, int64_t step) {
        T best = convert<T>(x[0]);
        int at = 0;
        for (int i = 1; i < n; i++) {
            const T next = convert<T>(x[i * step]);
            at = next > best ? i : at;
            best = larger(best, next);
        }
        for (int i = 0; i < n; i++) y[i * step] = convert<Out>((T)(i == at));
    }
    static DEVICE void run(const call &c) {
        const lines l = lines_of(c.arg[0], c.params.axis);
        const int columns = l.outer * l.inner;
        for (int i = (int)(blockIdx.x * threads + threadIdx.x); i < columns; i += (int)gridDim.x * threads) {
            const int64_t at = (int64_t)(i / l.inner) * l.n * l.inner + i % l.inner, step = l.inner;
            const In *x = static_cast<const In *>(c.arg[0].data) + at;
            Out *y = static_cast<Out *>(c.arg[1].data) + at;
            if (c.params.kind == INGOT_HARDMAX) {
                hardmax(y, x, l.n, step);
                continue;
            }
            T most = lowest<T>(), sum = 0;
            for (int k = 0; k < l.n; k++) most = larger(most, convert<T>(x[k * step]));
            for (int k = 0; k < l.n; k++) sum += exp_nonpositive(convert<T>(x[k * step]) - most);
            const softmax_end<T> end(c.params.kind, most, sum);
            for (int k = 0; k < l.n; k++) y[k * step] = convert<Out>(end.of(convert<T>(x[k * step])));
        }
    }
};

} // namespace ingot
