/* What kernels that fold rows share: several elements in one access, and folds over the lanes of a warp or the threads
 * of a block in an order that depends on nothing but their number. */
#ifndef INGOT_CUDA_ROWS_H
#define INGOT_CUDA_ROWS_H

#include "cuda_device.h"

namespace ingot {

template <class T> DEVICE T smaller(T a, T b) { return b < a ? b : a; }
template <class T> DEVICE T larger(T a, T b) { return b > a ? b : a; }
template <class T> DEVICE T add(T a, T b) { return a + b; }

template <class A, class B> constexpr bool is_same = false;
template <class A> constexpr bool is_same<A, A> = true;

/* An element as it is stored to the type that is computed in, and back. */
template <class To, class From> DEVICE To convert(From x) {
    if constexpr (is_same<To, From>) {
        return x;
    } else if constexpr (is_same<To, float>) {
        return to_float(x);
    } else {
        return from_float<To>(x);
    }
}

/* What elements of that type are computed in: float64 in itself, all else in float32. */
template <class T> struct real_of { using type = float; };
template <> struct real_of<double> { using type = double; };
template <class T> using real = typename real_of<T>::type;

/* How many elements one access takes. */
template <class T> constexpr int per_access = sizeof(T) > 4 ? 2 : 4;

template <class T, int N> struct alignas(sizeof(T) * N) some { T at[N]; };

template <int N, class T> DEVICE bool is_whole(const T *p) { return (uintptr_t)p % (sizeof(T) * N) == 0; }

/* The first `count` of N elements side by side, the others become `rest`; `whole`: p is aligned to all together. */
template <int N, class To, class T> DEVICE void load_some(To (&to)[N], const T *p, bool whole, int count, To rest) {
    if (whole && count >= N) {
        const some<T, N> all = *reinterpret_cast<const some<T, N> *>(p);
#pragma unroll
        for (int i = 0; i < N; i++) to[i] = convert<To>(all.at[i]);
    } else {
#pragma unroll
        for (int i = 0; i < N; i++) to[i] = i < count ? convert<To>(p[i]) : rest;
    }
}
template <int N, class From, class T> DEVICE void store_some(T *p, const From (&from)[N], bool whole, int count) {
    if (whole && count >= N) {
        some<T, N> all;
#pragma unroll
        for (int i = 0; i < N; i++) all.at[i] = convert<T>(from[i]);
        *reinterpret_cast<some<T, N> *>(p) = all;
    } else {
#pragma unroll
        for (int i = 0; i < N; i++) {
            if (i < count) p[i] = convert<T>(from[i]);
        }
    }
}

/* The value of the lane that differs in the bits of `mask`; T has 4 or 8 bytes. */
template <class T> DEVICE T exchange(T x, int mask) {
    if constexpr (sizeof(T) == 8) {
        uint32_t half[2];
        memcpy(half, &x, sizeof x);
        half[0] = shuffle_xor(half[0], mask);
        half[1] = shuffle_xor(half[1], mask);
        memcpy(&x, half, sizeof x);
        return x;
    } else {
        return shuffle_xor(x, mask);
    }
}

/* All lanes get join of all 32; join(a, b) gives the same as join(b, a). */
template <class T, class Join> DEVICE T join_warp(T x, Join join) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) x = join(x, exchange(x, mask));
    return x;
}

/* All TEAM threads get join of all of theirs: of a warp, or of the block, whose warps leave their parts in `parts`. */
template <int TEAM, class T, class Join> DEVICE T join_team(T x, T *parts, Join join) {
    x = join_warp(x, join);
    if constexpr (TEAM > 32) {
        sync_block();
        if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
        sync_block();
        x = parts[0];
#pragma unroll
        for (int warp = 1; warp < TEAM / 32; warp++) x = join(x, parts[warp]);
    }
    return x;
}

/* Whether this block is the last of `count` that come here with the counter, which then is zero again; what the others
 * wrote before is seen by all of its threads. All threads of the block take part. */
DEVICE bool is_last_block(uint32_t *counter, uint32_t count) {
    INGOT_SHARED(uint32_t, before, [1]);
    fence_device();
    sync_block();
    if (threadIdx.x == 0) {
        before[0] = atomic_add(counter, 1);
        if (before[0] + 1 == count) store_volatile(counter, 0);
    }
    sync_block();
    fence_device();
    return before[0] + 1 == count;
}

/* Divides numbers of [0, limit) by one and the same: below 2^21 by a product, which is exact there, since the quotient
 * of i + 1/2 is half a step away from the next whole numbers and its error smaller. */
struct divisor {
    int32_t by;
    bool small;
    float inverse;

    DEVICE divisor(int32_t by, int64_t limit) : by(by), small(limit < 1 << 21), inverse(1.0f / (float)by) {}
    DEVICE int32_t of(int32_t i) const { return small ? (int32_t)(((float)i + 0.5f) * inverse) : i / by; }
};

/* The operand as [outer][extent of the axis][inner], row-major and without gaps. */
struct lines {
    int32_t outer, n, inner;
};
DEVICE lines lines_of(const ingot_cuda_arg &x, uint32_t axis) {
    lines l = {1, 1, 1};
#pragma unroll
    for (uint32_t a = 0; a < 8; a++) {
        if (a < x.rank) {
            l.outer *= a < axis ? x.dims[a] : 1;
            l.n *= a == axis ? x.dims[a] : 1;
            l.inner *= a > axis ? x.dims[a] : 1;
        }
    }
    if (l.n == 0 || l.inner == 0) l.outer = 0; /* no line has elements */
    return l;
}

} // namespace ingot

#endif
