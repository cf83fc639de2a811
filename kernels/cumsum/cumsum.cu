/* cumsum: running sums and products; T is unsigned for integers, which wrap. A warp a row, each lane EACH elements at a
 * time; along another axis than the last a thread has a column. */
#include "cuda_rows.h"
#include "cumsum/cumsum.h"

namespace ingot {

/* The value of the lane `delta` below; T has 4 or 8 bytes. */
template <class T> DEVICE T from_below(T x, int delta) {
    if constexpr (sizeof(T) == 8) {
        uint32_t half[2];
        memcpy(half, &x, sizeof x);
        half[0] = shuffle_up(half[0], delta);
        half[1] = shuffle_up(half[1], delta);
        memcpy(&x, half, sizeof x);
        return x;
    } else {
        return shuffle_up(x, delta);
    }
}
template <class T> DEVICE T from_last(T x) {
    if constexpr (sizeof(T) == 8) {
        uint32_t half[2];
        memcpy(half, &x, sizeof x);
        half[0] = shuffle(half[0], 31);
        half[1] = shuffle(half[1], 31);
        memcpy(&x, half, sizeof x);
        return x;
    } else {
        return shuffle(x, 31);
    }
}

template <class T> DEVICE T running(T a, T b, uint32_t product) { return product ? a * b : a + b; }

template <class T> struct cumsum_rows {
    static constexpr int threads = 128;
    static constexpr int blocks = 1;
    static constexpr int EACH = 8;
    using call = ingot::call<2, ingot_cumsum_params>;

    static DEVICE void run(const call &c) {
        const lines l = lines_of(c.arg[0], c.params.axis);
        const uint32_t product = c.params.product;
        const int lane = (int)threadIdx.x % 32, step = (int)gridDim.x * (threads / 32);
        const T none = (T)product;
        for (int row = (int)(blockIdx.x * (threads / 32) + threadIdx.x / 32); row < l.outer; row += step) {
            const T *x = static_cast<const T *>(c.arg[0].data) + (int64_t)row * l.n;
            T *y = static_cast<T *>(c.arg[1].data) + (int64_t)row * l.n;
            T before = none; /* of all that came before these */
            for (int first = 0; first < l.n; first += 32 * EACH) {
                const int from = first + lane * EACH;
                T part[EACH], sum = none;
#pragma unroll
                for (int j = 0; j < EACH; j++) {
                    const int i = from + j;
                    part[j] = i < l.n ? x[c.params.reverse ? l.n - 1 - i : i] : none;
                }
#pragma unroll
                for (int j = 0; j < EACH; j++) sum = running(sum, part[j], product);
#pragma unroll
                for (int delta = 1; delta < 32; delta *= 2) {
                    const T below = from_below(sum, delta);
                    sum = lane >= delta ? running(below, sum, product) : sum;
                }
                const T below = from_below(sum, 1), all = from_last(sum);
                T result = lane == 0 ? before : running(before, below, product);
#pragma unroll
                for (int j = 0; j < EACH; j++) {
                    const int i = from + j;
                    const T next = running(result, part[j], product);
                    if (i < l.n) y[c.params.reverse ? l.n - 1 - i : i] = c.params.exclusive ? result : next;
                    result = next;
                }
                before = running(before, all, product);
            }
        }
    }
};

template <class T> struct cumsum_columns {
    static constexpr int threads = 128;
    static constexpr int blocks = 1;
    static constexpr int EACH = 8; /* read before any of them is written */
    using call = ingot::call<2, ingot_cumsum_params>;

    static DEVICE void run(const call &c) {
        const lines l = lines_of(c.arg[0], c.params.axis);
        const int columns = l.outer * l.inner;
        const int64_t step = c.params.reverse ? -(int64_t)l.inner : l.inner;
        for (int i = (int)(blockIdx.x * threads + threadIdx.x); i < columns; i += (int)gridDim.x * threads) {
            int64_t at = (int64_t)(i / l.inner) * l.n * l.inner + i % l.inner;
            at += c.params.reverse ? (int64_t)(l.n - 1) * l.inner : 0;
            const T *x = static_cast<const T *>(c.arg[0].data) + at;
            T *y = static_cast<T *>(c.arg[1].data) + at;
            T sum = (T)c.params.product;
            for (int first = 0; first < l.n; first += EACH) {
                T part[EACH];
#pragma unroll
                for (int j = 0; j < EACH; j++) part[j] = first + j < l.n ? x[(first + j) * step] : T{};
#pragma unroll
                for (int j = 0; j < EACH; j++) {
                    const int k = first + j;
                    if (k >= l.n) break;
                    const T next = k == 0 ? part[0] : running(sum, part[j], c.params.product);
                    y[k * step] = c.params.exclusive ? sum : next;
                    sum = next;
                }
            }
        }
    }
};

} // namespace ingot
