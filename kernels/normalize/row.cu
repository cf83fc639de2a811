/* Layer and RMS normalisation of short rows, whose length is a constant: what a small one takes is the time to begin, so
 * that there is little to compute before its elements are asked for, and little code. A warp does a row, in registers. */
#include "normalize/normalize_cuda.h"

namespace ingot {

/* Rows of COLUMNS elements, a multiple of four; CENTRED: their mean is taken out. CONSTANT: factors and offsets are, so
 * that they are read while the kernels before this one end. */
template <class In, class Out, int COLUMNS, bool CENTRED, bool CONSTANT> struct normalize_row {
    static constexpr int threads = 128, blocks = 1, V = 4, CHUNKS = (COLUMNS + 32 * V - 1) / (32 * V);
    static constexpr bool waits_itself = true, fast = sizeof(Out) == 2;
    using call = ingot::call<4, ingot_normalize_params>;
    typedef float numbers[CHUNKS][V];

    static DEVICE bool has(int chunk) { return (chunk + 1) * 32 * V <= COLUMNS || place(chunk) < COLUMNS; }
    static DEVICE int place(int chunk) { return (chunk * 32 + (int)threadIdx.x % 32) * V; }
    /* Elements of a row, `rest` behind its end or where there is none. */
    template <class T> static DEVICE void load(numbers &to, const T *row, bool whole, float rest) {
#pragma unroll
        for (int k = 0; k < CHUNKS; k++) load_some(to[k], row + place(k), whole, row && has(k) ? V : 0, rest);
    }
    static DEVICE float divided(float sum) { return fast ? sum * (1.0f / COLUMNS) : sum / (float)COLUMNS; }

    static DEVICE void run(const call &c) {
        int count = 1;
#pragma unroll
        for (int a = 0; a < 8; a++) count *= c.arg[0].dims[a];
        const int row = (int)(blockIdx.x * (threads / 32) + threadIdx.x / 32);
        const In *x = static_cast<const In *>(c.arg[0].data) + (int64_t)row * COLUMNS;
        Out *y = static_cast<Out *>(c.arg[3].data) + (int64_t)row * COLUMNS;
        const float *scale = static_cast<const float *>(c.arg[1].data), *bias = static_cast<const float *>(c.arg[2].data);
        numbers v, factor, offset;
        if (!CONSTANT) await_kernels();
        load(factor, scale, is_whole<V>(scale), 1.0f);
        load(offset, bias, is_whole<V>(bias), 0.0f);
        if (CONSTANT) await_kernels();
        if (row >= count / COLUMNS) return; /* a whole warp */

        load(v, x, is_whole<V>(x), 0.0f);
        float mean = 0.0f, squares = 0.0f;
        if (CENTRED) {
#pragma unroll
            for (int i = 0; i < CHUNKS * V; i++) mean += v[i / V][i % V];
            mean = divided(join_warp(mean, add<float>));
        }
#pragma unroll
        for (int i = 0; i < CHUNKS * V; i++) {
            const float d = v[i / V][i % V] - mean;
            squares += has(i / V) ? d * d : 0.0f;
        }
        const float variance = divided(join_warp(squares, add<float>)) + (float)c.params.epsilon;
        const float inverse = fast ? rsqrt_fast(variance) : 1.0f / __builtin_sqrtf(variance);
        const bool whole = is_whole<V>(y);
#pragma unroll
        for (int k = 0; k < CHUNKS; k++) {
            float out[V];
#pragma unroll
            for (int j = 0; j < V; j++) out[j] = (v[k][j] - mean) * inverse * factor[k][j] + offset[k][j];
            store_some(y + place(k), out, whole, has(k) ? V : 0);
        }
    }
};

} // namespace ingot
