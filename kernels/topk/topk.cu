/* topk: the k best along an axis, best first; equal elements come in the order of their indices, so the order of the
 * result does not depend on that of the work. NaN counts as larger than everything.
 *
 * Every element becomes an unsigned key whose order is the wanted one. A block a line keeps the k best so far in front
 * of an array and collects behind them what is better than the worst of those; when there is no room it sorts all. */
#include "cuda_rows.h"
#include "topk/topk.h"

namespace ingot {

/* 32 bits, or 64 for elements of that many. */
template <class T> struct topk_key { using type = uint32_t; };
template <> struct topk_key<double> { using type = uint64_t; };
template <> struct topk_key<int64_t> { using type = uint64_t; };
template <> struct topk_key<uint64_t> { using type = uint64_t; };

/* The bits of a float in an order that unsigned comparison gives. */
template <class Key> DEVICE Key ordered_bits(Key bits) {
    const Key sign = (Key)1 << (sizeof(Key) * 8 - 1);
    return bits & sign ? ~bits : bits | sign;
}

template <class T> DEVICE typename topk_key<T>::type topk_key_of(T x) {
    using Key = typename topk_key<T>::type;
    if constexpr (is_same<T, float> || is_same<T, double>) {
        x += (T)0; /* -0 becomes 0: they are equal */
        Key bits;
        memcpy(&bits, &x, sizeof bits);
        return x != x ? ~(Key)0 : ordered_bits(bits);
    } else {
        const bool is_signed = (T)-1 < (T)0;
        return (Key)x ^ (is_signed ? (Key)1 << (sizeof(Key) * 8 - 1) : (Key)0);
    }
}

/* An array of keys and places, in shared memory or in the workspace: 8 bytes each for keys of 32 bits, the key above
 * the complement of the place, so that the larger is the better; else 12. */
template <class Key> struct topk_array;
template <> struct topk_array<uint32_t> {
    uint64_t *entry;

    DEVICE topk_array(uint64_t *memory, int) : entry(memory) {}
    DEVICE void set(int i, uint32_t key, uint32_t at) { entry[i] = (uint64_t)key << 32 | (uint32_t)~at; }
    DEVICE uint32_t key(int i) const { return (uint32_t)(entry[i] >> 32); }
    DEVICE uint32_t place(int i) const { return ~(uint32_t)entry[i]; }
    /* The better of two goes to `first`. */
    DEVICE void order(int first, int second) {
        const uint64_t a = entry[first], b = entry[second];
        entry[first] = larger(a, b);
        entry[second] = smaller(a, b);
    }
};
template <> struct topk_array<uint64_t> {
    uint64_t *keys;
    uint32_t *places;

    DEVICE topk_array(uint64_t *memory, int size) : keys(memory), places(reinterpret_cast<uint32_t *>(memory + size)) {}
    DEVICE void set(int i, uint64_t key, uint32_t at) {
        keys[i] = key;
        places[i] = at;
    }
    DEVICE uint64_t key(int i) const { return keys[i]; }
    DEVICE uint32_t place(int i) const { return places[i]; }
    DEVICE void order(int first, int second) {
        const uint64_t a = keys[first], b = keys[second];
        const uint32_t at_a = places[first], at_b = places[second];
        if (a != b ? a < b : at_a > at_b) {
            set(first, b, at_b);
            set(second, a, at_a);
        }
    }
};

/* Best first: K. E. Batcher's bitonic sort of `size`, a power of two. All threads of the block take part. What is less
 * than 64 apart stays within a warp. */
template <class Key> DEVICE void sort_block(topk_array<Key> array, int size, int threads) {
    sync_block();
    for (int span = 2; span <= size; span *= 2) {
        for (int half = span / 2; half > 0; half /= 2) {
            if (half >= 32 && span > 64) {
                sync_block();
            } else {
                sync_warp();
            }
            for (int i = (int)threadIdx.x; i < size / 2; i += threads) {
                const int a = 2 * i - (i & (half - 1)), b = a + half;
                const bool down = (a & span) == 0;
                array.order(down ? a : b, down ? b : a);
            }
        }
    }
    sync_block();
}

struct topk_shape {
    int32_t n, k, inner, count; /* count: of lines */

    template <class Call> DEVICE topk_shape(const Call &c) {
        const lines l = lines_of(c.arg[0], c.params.axis);
        n = l.n;
        k = c.arg[1].dims[c.params.axis];
        inner = l.inner;
        count = k == 0 ? 0 : l.outer * l.inner;
    }
    DEVICE int64_t begin(int line, int extent) const { return (int64_t)(line / inner) * extent * inner + line % inner; }
    /* What the first k of the array say. */
    template <class T, class Call, class Key>
    DEVICE void store(const Call &c, const topk_array<Key> &best, int line, int threads) const {
        const T *x = static_cast<const T *>(c.arg[0].data) + begin(line, n);
        T *values = static_cast<T *>(c.arg[1].data) + begin(line, k);
        int64_t *indices = static_cast<int64_t *>(c.arg[2].data) + begin(line, k);
        for (int i = (int)threadIdx.x; i < k; i += threads) {
            const uint32_t at = best.place(i);
            values[(int64_t)i * inner] = x[(int64_t)at * inner];
            indices[(int64_t)i * inner] = at;
        }
    }
};

template <class T, int SIZE> struct topk_select {
    using Key = typename topk_key<T>::type;
    static constexpr int threads = SIZE / 2 > 1024 ? 1024 : SIZE / 2;
    static constexpr int blocks = 1;
    using call = ingot::call<3, ingot_topk_params>;

    /* How many of the threads before this one, and of all, say yes. */
    static DEVICE int count_before(bool yes, uint32_t (&votes)[32], int &all) {
        const uint32_t mine = ballot(yes);
        sync_block();
        if (threadIdx.x % 32 == 0) votes[threadIdx.x / 32] = mine;
        sync_block();
        int before = ones(mine & ((1u << threadIdx.x % 32) - 1));
        all = 0;
#pragma unroll
        for (int warp = 0; warp < threads / 32; warp++) {
            const int some = ones(votes[warp]);
            before += warp < (int)threadIdx.x / 32 ? some : 0;
            all += some;
        }
        return before;
    }
    static DEVICE int ones(uint32_t x) {
        x -= x >> 1 & 0x55555555u;
        x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
        return (int)(((x + (x >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24);
    }
    static DEVICE void run(const call &c) {
        INGOT_SHARED(uint64_t, memory, [sizeof(Key) == 4 ? SIZE : SIZE / 2 * 3]);
        INGOT_SHARED(uint32_t, votes, [32]);
        const topk_shape s(c);
        const Key flip = c.params.smallest ? ~(Key)0 : 0;
        topk_array<Key> array(memory, SIZE);
        for (int line = (int)blockIdx.x; line < s.count; line += (int)gridDim.x) {
            const T *x = static_cast<const T *>(c.arg[0].data) + s.begin(line, s.n);
            int held = 0; /* the array is full up to here; what has been sorted out is the k best */
            bool chosen = false;
            int i = (int)threadIdx.x;
            T next = i < s.n ? x[(int64_t)i * s.inner] : T{}; /* read a step ahead */
            /* before anything is set, count_before waits for those that still store the last line */
            for (int first = 0; first < s.n; first += threads, i += threads) {
                const T element = next;
                if (i + threads < s.n) next = x[(int64_t)(i + threads) * s.inner];
                if (held + threads > SIZE) {
                    for (int k = held + (int)threadIdx.x; k < SIZE; k += threads) array.set(k, 0, ~0u);
                    sort_block(array, SIZE, threads);
                    held = s.k;
                    chosen = true;
                }
                const Key key = topk_key_of(element) ^ flip;
                /* of equal ones those that came before are better */
                const bool takes = i < s.n && (!chosen || key > array.key(s.k - 1));
                int all;
                const int at = held + count_before(takes, votes, all);
                if (takes) array.set(at, key, (uint32_t)i);
                held += all;
            }
            for (int k = held + (int)threadIdx.x; k < SIZE; k += threads) array.set(k, 0, ~0u);
            sort_block(array, SIZE, threads);
            s.store<T>(c, array, line, threads);
        }
    }
};

/* More than shared memory holds: all elements of a line are sorted in the workspace, a part of it for each block. */
template <class T> struct topk_sort {
    using Key = typename topk_key<T>::type;
    static constexpr int threads = 1024;
    static constexpr int blocks = 1;
    using call = ingot::call<3, ingot_topk_params>;

    static DEVICE void run(const call &c) {
        const topk_shape s(c);
        const Key flip = c.params.smallest ? ~(Key)0 : 0;
        int size = 2;
        while (size < s.n) size *= 2;
        /* 12 bytes an element, so that the check need not know the keys */
        topk_array<Key> array(static_cast<uint64_t *>(c.tail.workspace) + (int64_t)blockIdx.x * (size / 2 * 3), size);
        for (int line = (int)blockIdx.x; line < s.count; line += (int)gridDim.x) {
            const T *x = static_cast<const T *>(c.arg[0].data) + s.begin(line, s.n);
            /* a thread sets the places that it stored of the last line: no other one reads them */
            for (int i = (int)threadIdx.x; i < size; i += threads) {
                const bool inside = i < s.n;
                array.set(i, inside ? topk_key_of(x[(int64_t)(inside ? i : 0) * s.inner]) ^ flip : 0,
                          inside ? (uint32_t)i : ~0u);
            }
            sort_block(array, size, threads);
            s.store<T>(c, array, line, threads);
        }
    }
};

} // namespace ingot
