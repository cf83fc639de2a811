/* arg_reduce: where the largest or smallest element along an axis stands. A NaN is larger and smaller than anything, as
 * in NumPy. Rows by teams of threads; along another axis than the last a thread has a column. Where rows are few and
 * long, gridDim.y blocks have a part of each, and the last one joins what they found. */
#include "arg_reduce/arg_reduce.h"
#include "cuda_rows.h"

namespace ingot {

/* An element and where it stands; at -1: none. */
template <class T> struct placed {
    T value;
    int32_t at;
};
template <class T> DEVICE placed<T> exchange(placed<T> x, int mask) {
    return {exchange(x.value, mask), exchange(x.at, mask)};
}

/* What elements are compared as. */
template <class T> struct compared_as { using type = T; };
template <> struct compared_as<int8_t> { using type = int32_t; };
template <> struct compared_as<uint8_t> { using type = int32_t; };

template <class T> struct arg_order {
    bool smallest, last;

    DEVICE bool better(placed<T> a, placed<T> b) const {
        const bool wild_a = a.value != a.value, wild_b = b.value != b.value;
        if (a.at < 0 || b.at < 0) return a.at < 0;
        if (wild_a != wild_b) return wild_b;
        if (wild_a || a.value == b.value) return last ? b.at > a.at : b.at < a.at;
        return smallest ? b.value < a.value : b.value > a.value;
    }
    DEVICE placed<T> join(placed<T> a, placed<T> b) const { return better(a, b) ? b : a; }
};

template <class In, int TEAM> struct arg_reduce_rows {
    using T = typename compared_as<In>::type;
    static constexpr int threads = TEAM > 128 ? TEAM : 128;
    static constexpr int blocks = 1;
    using call = ingot::call<2, ingot_arg_reduce_params>;

    static DEVICE void run(const call &c) {
        INGOT_SHARED(placed<T>, parts, [32]);
        const lines l = lines_of(c.arg[0], c.params.axis);
        const arg_order<T> order = {c.params.smallest != 0, c.params.last != 0};
        const int size = (l.n - 1) / (int)gridDim.y + 1, begin = smaller((int)blockIdx.y * size, l.n);
        const int end = smaller(begin + size, l.n), step = (int)gridDim.x * (threads / TEAM);
        for (int row = (int)(blockIdx.x * (threads / TEAM) + threadIdx.x / TEAM); row < l.outer; row += step) {
            const In *x = static_cast<const In *>(c.arg[0].data) + (int64_t)row * l.n;
            placed<T> best = {T{}, -1};
#pragma unroll 4
            for (int i = begin + (int)threadIdx.x % TEAM; i < end; i += TEAM) best = order.join(best, {(T)x[i], i});
            const auto join = [&](placed<T> a, placed<T> b) { return order.join(a, b); };
            best = join_team<TEAM>(best, parts, join);
            if constexpr (TEAM == threads) {
                if (gridDim.y > 1) {
                    placed<T> *all = static_cast<placed<T> *>(c.tail.workspace) + row; /* [parts][rows] */
                    if (threadIdx.x == 0) all[blockIdx.y * l.outer] = best;
                    if (!is_last_block(c.tail.counters + row, gridDim.y)) continue;
                    best = {T{}, -1};
                    for (int i = (int)threadIdx.x; i < (int)gridDim.y; i += TEAM) best = join(best, all[i * l.outer]);
                    best = join_team<TEAM>(best, parts, join);
                }
            }
            if (threadIdx.x % TEAM == 0) static_cast<int64_t *>(c.arg[1].data)[row] = best.at;
        }
    }
};

template <class In> struct arg_reduce_columns {
    using T = typename compared_as<In>::type;
    static constexpr int threads = 128;
    static constexpr int blocks = 1;
    using call = ingot::call<2, ingot_arg_reduce_params>;

    static DEVICE void run(const call &c) {
        const lines l = lines_of(c.arg[0], c.params.axis);
        const arg_order<T> order = {c.params.smallest != 0, c.params.last != 0};
        const int columns = l.outer * l.inner;
        for (int i = (int)(blockIdx.x * threads + threadIdx.x); i < columns; i += (int)gridDim.x * threads) {
            const In *x = static_cast<const In *>(c.arg[0].data) + (int64_t)(i / l.inner) * l.n * l.inner + i % l.inner;
            placed<T> best = {T{}, -1};
#pragma unroll 4
            for (int k = 0; k < l.n; k++) best = order.join(best, {(T)x[(int64_t)k * l.inner], k});
            static_cast<int64_t *>(c.arg[1].data)[i] = best.at;
        }
    }
};

} // namespace ingot
