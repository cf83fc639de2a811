/* softmax_s8: of d steps below the largest element of a row the exponential is entry d of a table of whole numbers;
 * their sum is exact; then one division, and what is stored is rounded. The bits are those of softmax_s8_cpu.c. */
#include "cuda_rows.h"
#include "cuda_store_s8.h"
#include "softmax/softmax.h"

namespace ingot {

using softmax_s8_call = ingot::call<3, ingot_softmax_s8_params>;

DEVICE ingot_requantize softmax_s8_result(const softmax_s8_call &c) {
    return ingot_s8_result(&c.params.scales, (float)(1.0 / c.params.scales.output_scale));
}

template <int THREADS> DEVICE void load_table(uint32_t (&table)[256], const softmax_s8_call &c) {
    for (int i = (int)threadIdx.x; i < 256; i += THREADS) table[i] = static_cast<const uint32_t *>(c.arg[1].data)[i];
    sync_block();
}

template <class Out> DEVICE Out softmax_s8_of(const ingot_requantize &q, uint32_t e, float total) {
    return finish_s8<Out>(q, (float)(int32_t)e / total);
}

/* A team of threads a row; each takes four elements at a time. Rows longer than TEAM * EACH are read three times. */
template <class Out, int TEAM, int EACH> struct softmax_s8_rows {
    static constexpr int threads = TEAM > 128 ? TEAM : 128;
    static constexpr int blocks = 1;
    static constexpr int V = 4, CHUNK = TEAM * V, CHUNKS = EACH / V;
    using call = softmax_s8_call;

    static DEVICE int place(int chunk) { return (chunk * TEAM + (int)threadIdx.x % TEAM) * V; }
    static DEVICE void load(int8_t (&x)[CHUNKS][V], const int8_t *row, int n, bool whole) {
#pragma unroll
        for (int k = 0; k < CHUNKS; k++) load_some(x[k], row + place(k), whole, n - place(k), (int8_t)-128);
    }
    static DEVICE void run(const call &c) {
        INGOT_SHARED(uint32_t, table, [256]);
        INGOT_SHARED(int, largests, [32]);
        INGOT_SHARED(uint64_t, sums, [32]);
        load_table<threads>(table, c);
        const lines l = lines_of(c.arg[0], c.params.softmax.axis);
        const int8_t *x = static_cast<const int8_t *>(c.arg[0].data);
        Out *y = static_cast<Out *>(c.arg[2].data);
        const bool whole = is_whole<V>(x) && l.n % V == 0, whole_out = is_whole<V>(y) && l.n % V == 0;
        const ingot_requantize q = softmax_s8_result(c);
        const int step = (int)gridDim.x * (threads / TEAM);
        int8_t v[CHUNKS][V];
        for (int row = (int)(blockIdx.x * (threads / TEAM) + threadIdx.x / TEAM); row < l.outer; row += step) {
            const int8_t *from = x + (int64_t)row * l.n;
            Out *to = y + (int64_t)row * l.n;
            int most = -128;
            for (int i = 0; i < l.n; i += TEAM * EACH) {
                load(v, from + i, l.n - i, whole);
#pragma unroll
                for (int j = 0; j < EACH; j++) most = larger(most, (int)v[j / V][j % V]);
            }
            most = join_team<TEAM>(most, largests, larger<int>);
            uint64_t sum = 0;
            for (int i = 0; i < l.n; i += TEAM * EACH) {
                if (l.n > TEAM * EACH) load(v, from + i, l.n - i, whole);
#pragma unroll
                for (int j = 0; j < EACH; j++) {
                    const bool inside = i + place(j / V) + j % V < l.n;
                    sum += inside ? table[most - v[j / V][j % V]] : 0;
                }
            }
            const float total = (float)(int64_t)join_team<TEAM>(sum, sums, add<uint64_t>);
            for (int i = 0; i < l.n; i += TEAM * EACH) {
                if (l.n > TEAM * EACH) load(v, from + i, l.n - i, whole);
#pragma unroll
                for (int k = 0; k < CHUNKS; k++) {
                    Out out[V];
#pragma unroll
                    for (int j = 0; j < V; j++) out[j] = softmax_s8_of<Out>(q, table[most - v[k][j]], total);
                    store_some(to + i + place(k), out, whole_out, l.n - i - place(k));
                }
            }
        }
    }
};

template <class Out> struct softmax_s8_columns {
    static constexpr int threads = 128;
    static constexpr int blocks = 1;
    using call = softmax_s8_call;

    static DEVICE void run(const call &c) {
        INGOT_SHARED(uint32_t, table, [256]);
        load_table<threads>(table, c);
        const lines l = lines_of(c.arg[0], c.params.softmax.axis);
        const ingot_requantize q = softmax_s8_result(c);
        const int columns = l.outer * l.inner;
        for (int i = (int)(blockIdx.x * threads + threadIdx.x); i < columns; i += (int)gridDim.x * threads) {
            const int64_t at = (int64_t)(i / l.inner) * l.n * l.inner + i % l.inner, step = l.inner;
            const int8_t *x = static_cast<const int8_t *>(c.arg[0].data) + at;
            Out *y = static_cast<Out *>(c.arg[2].data) + at;
            int most = -128;
            uint64_t sum = 0;
            for (int k = 0; k < l.n; k++) most = larger(most, (int)x[k * step]);
            for (int k = 0; k < l.n; k++) sum += table[most - x[k * step]];
            const float total = (float)(int64_t)sum;
            for (int k = 0; k < l.n; k++) y[k * step] = softmax_s8_of<Out>(q, table[most - x[k * step]], total);
        }
    }
};

} // namespace ingot
