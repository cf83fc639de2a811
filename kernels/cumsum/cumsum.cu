/* cumsum: running sums and products; T is unsigned for integers, which wrap. A warp a row, 32 elements at a time; along
 * another axis than the last a thread has a column. */
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
    using call = ingot::call<2, ingot_cumsum_params>;

    static DEVICE void run(const call &c) {
        const lines l = lines_of(c.arg[0], c.params.axis);
        const uint32_t product = c.params.product;
        const int lane = (int)threadIdx.x % 32, step = (int)gridDim.x * (threads / 32);
        const T none = (T)product;
        for (int row = (int)(blockIdx.x * (threads / 32) + threadIdx.x / 32); row < l.outer; row += step) {
            const T *x = static_cast<const T *>(c.arg[0].data) + (int64_t)row * l.n;
            T *y = static_cast<T *>(c.arg[1].data) + (int64_t)row * l.n;
            T before = none; /* of all that came before these 32 */
            for (int first = 0; first < l.n; first += 32) {
                const int i = first + lane, at = c.params.reverse ? l.n - 1 - i : i;
                T sum = i < l.n ? x[at] : none;
#pragma unroll
                for (int delta = 1; delta < 32; delta *= 2) {
                    const T below = from_below(sum, delta);
                    sum = lane >= delta ? running(below, sum, product) : sum;
                }
                T result = running(before, sum, product);
                const T previous = from_below(result, 1), next = from_last(result);
                if (c.params.exclusive) result = lane == 0 ? before : previous;
                if (i < l.n) y[at] = result;
                before = next;
            }
        }
    }
};

template <class T> struct cumsum_columns {
    static constexpr int threads = 128;
    static constexpr int blocks = 1;
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
            for (int k = 0; k < l.n; k++) {
                const T next = k == 0 ? x[0] : running(sum, x[k * step], c.params.product);
                y[k * step] = c.params.exclusive ? sum : next;
                sum = next;
            }
        }
    }
};

} // namespace ingot
