/* Layer, RMS and group normalisation of float32, of float16 and bfloat16 in float32, and of float64: first the mean,
 * then the mean square of what is left. Input and output may be the same bytes: every element is read for the last time
 * by the thread that writes it. */
#include "normalize/normalize_cuda.h"

namespace ingot {

/* Operands: x, factors and offsets or none; then y and, of some, mean and inverse deviation. */
template <class In, int OUTS> using normalize_call = ingot::call<3 + OUTS, ingot_normalize_params>;

DEVICE float inverse_root(float x) { return 1.0f / __builtin_sqrtf(x); }
DEVICE double inverse_root(double x) { return 1.0 / __builtin_sqrt(x); }

/* A team of threads a row, FLAT, or a group. What does not fit its registers is read three times. CONSTANT: factors and
 * offsets are, so that those of a row that fits are read while the kernels before this one end. */
template <class In, class Out, int OUTS, bool FLAT, int TEAM, int EACH, bool CONSTANT> struct normalize_rows {
    using T = real<In>;
    static constexpr int threads = TEAM > 128 ? TEAM : 128;
    static constexpr int blocks = 1;
    static constexpr int V = per_access<T>, CHUNKS = EACH / V, SWEEP = TEAM * EACH;
    static constexpr bool waits_itself = true;
    using call = normalize_call<In, OUTS>;

    static DEVICE int place(int chunk) { return (chunk * TEAM + (int)threadIdx.x % TEAM) * V; }
    static DEVICE void load(T (&v)[CHUNKS][V], const normalized &s, const In *row, int from, bool whole) {
#pragma unroll
        for (int k = 0; k < CHUNKS; k++) {
            const int i = from + place(k), left = s.n - i;
            if (FLAT || whole) {
                load_some(v[k], row + (FLAT ? i : s.place(left > 0 ? i : 0)), whole, left, (T)0);
            } else {
#pragma unroll
                for (int j = 0; j < V; j++) v[k][j] = j < left ? convert<T>(row[s.place(i + j)]) : (T)0;
            }
        }
    }
    static DEVICE T sum_of(const T (&v)[CHUNKS][V]) {
        T sum = 0;
#pragma unroll
        for (int i = 0; i < EACH; i++) sum += v[i / V][i % V];
        return sum;
    }
    static DEVICE T squares_of(const T (&v)[CHUNKS][V], T mean, int left) {
        T sum = 0;
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            const T d = v[i / V][i % V] - mean;
            sum += place(i / V) + i % V < left ? d * d : (T)0;
        }
        return sum;
    }
    /* Factors and offsets of the elements of a row that are this thread's. */
    static DEVICE void load_factors(const call &c, const normalized &s, T (&factor)[CHUNKS][V], T (&offset)[CHUNKS][V],
                                    int row, int from, bool whole) {
        const T *scale = static_cast<const T *>(c.arg[1].data), *bias = static_cast<const T *>(c.arg[2].data);
        const bool whole_factors = whole && is_whole<V>(scale) && is_whole<V>(bias);
#pragma unroll
        for (int k = 0; k < CHUNKS; k++) {
            const int i = from + place(k), left = s.n - i;
            if (FLAT || whole) {
                const int column = left <= 0 ? 0 : FLAT ? i : s.column(row, i);
                load_some(factor[k], scale + column, whole_factors, scale ? left : 0, (T)1);
                load_some(offset[k], bias + column, whole_factors, bias ? left : 0, (T)0);
            } else {
#pragma unroll
                for (int j = 0; j < V; j++) {
                    factor[k][j] = scale && j < left ? scale[s.column(row, i + j)] : (T)1;
                    offset[k][j] = bias && j < left ? bias[s.column(row, i + j)] : (T)0;
                }
            }
        }
    }
    static DEVICE void apply(const call &c, const normalized &s, const T (&v)[CHUNKS][V], const T (&factor)[CHUNKS][V],
                             const T (&offset)[CHUNKS][V], T mean, T inverse, int row, int from, bool whole) {
        Out *y = static_cast<Out *>(c.arg[3].data) + s.begin(row);
#pragma unroll
        for (int k = 0; k < CHUNKS; k++) {
            const int i = from + place(k), left = s.n - i;
            if (left <= 0) break;
            T out[V];
#pragma unroll
            for (int j = 0; j < V; j++) out[j] = (v[k][j] - mean) * inverse * factor[k][j] + offset[k][j];
            if (FLAT || whole) {
                store_some(y + (FLAT ? i : s.place(i)), out, whole, left);
            } else {
#pragma unroll
                for (int j = 0; j < V; j++) {
                    if (j < left) y[s.place(i + j)] = convert<Out>(out[j]);
                }
            }
        }
    }
    static DEVICE void run(const call &c) {
        INGOT_SHARED(T, parts, [32]);
        const normalized s = normalized_of(c.arg[0], c.params);
        const In *x = static_cast<const In *>(c.arg[0].data);
        const bool whole = is_whole<V>(x) && is_whole<V>(static_cast<const Out *>(c.arg[3].data)) && s.run % V == 0 &&
                           s.pitch % V == 0;
        const int step = (int)gridDim.x * (threads / TEAM);
        T v[CHUNKS][V], factor[CHUNKS][V], offset[CHUNKS][V];
        const bool same = FLAT && s.n <= SWEEP; /* factors and offsets for all rows */
        if (same && CONSTANT) load_factors(c, s, factor, offset, 0, 0, whole);
        await_kernels();
        if (same && !CONSTANT) load_factors(c, s, factor, offset, 0, 0, whole);
        for (int row = (int)(blockIdx.x * (threads / TEAM) + threadIdx.x / TEAM); row < s.rows; row += step) {
            const In *from = x + s.begin(row);
            T sum = 0, mean = 0, squares = 0;
            for (int i = 0; i < s.n; i += SWEEP) {
                load(v, s, from, i, whole);
                sum += sum_of(v);
            }
            if (c.params.kind != INGOT_NORMALIZE_RMS) mean = join_team<TEAM>(sum, parts, add<T>) / (T)s.n;
            for (int i = 0; i < s.n; i += SWEEP) {
                if (s.n > SWEEP) load(v, s, from, i, whole);
                squares += squares_of(v, mean, s.n - i);
            }
            squares = join_team<TEAM>(squares, parts, add<T>);
            const T inverse = inverse_root(squares / (T)s.n + (T)c.params.epsilon);
            for (int i = 0; i < s.n; i += SWEEP) {
                if (s.n > SWEEP) load(v, s, from, i, whole);
                if (!same) load_factors(c, s, factor, offset, row, i, whole);
                apply(c, s, v, factor, offset, mean, inverse, row, i, whole);
            }
            if constexpr (OUTS > 1) {
                T *means = static_cast<T *>(c.arg[4].data), *inverses = static_cast<T *>(c.arg[2 + OUTS].data);
                if (threadIdx.x % TEAM == 0) {
                    if (means) means[row] = mean;
                    if (OUTS > 2 && inverses) inverses[row] = inverse;
                }
            }
        }
    }
};

/* Groups of fewer than eight channels. */
template <class In, class Out> struct normalize_few {
    using T = real<In>;
    static constexpr int threads = 1024;
    static constexpr int blocks = 1;
    static constexpr int PART = 64; /* elements that are summed before they are added to the total */
    using call = normalize_call<In, 1>;
    using shape = few_channels<threads>;

    static DEVICE void run(const call &c) {
        INGOT_SHARED(T, parts, [shape::WARPS][8]);
        const shape s(c.arg[0], c.params.groups);
        const T *scale = static_cast<const T *>(c.arg[1].data), *bias = static_cast<const T *>(c.arg[2].data);
        const int count = c.arg[0].dims[0] * s.blocks;
        const T n = (T)s.places * (T)s.of_group;
        for (int block = (int)blockIdx.x; block < count; block += (int)gridDim.x) {
            const int channel = s.channel(block), places = channel < 0 ? 0 : s.places;
            const int64_t at = block / s.blocks * s.image + (channel < 0 ? 0 : channel);
            const In *x = static_cast<const In *>(c.arg[0].data) + at;
            Out *y = static_cast<Out *>(c.arg[3].data) + at;
            T sum = 0, squares = 0;
            for (int from = s.place; from < places; from += s.STEP * PART) {
                T part = 0;
#pragma unroll 4
                for (int i = from; i < places && i < from + s.STEP * PART; i += s.STEP) {
                    part += convert<T>(x[(int64_t)i * s.channels]);
                }
                sum += part;
            }
            const T mean = s.join(sum, parts) / n;
            for (int from = s.place; from < places; from += s.STEP * PART) {
                T part = 0;
#pragma unroll 4
                for (int i = from; i < places && i < from + s.STEP * PART; i += s.STEP) {
                    const T d = convert<T>(x[(int64_t)i * s.channels]) - mean;
                    part += d * d;
                }
                squares += part;
            }
            const T inverse = inverse_root(s.join(squares, parts) / n + (T)c.params.epsilon);
            const T factor = scale && places ? inverse * scale[channel] : inverse;
            const T offset = bias && places ? bias[channel] : (T)0;
#pragma unroll 4
            for (int i = s.place; i < places; i += s.STEP) {
                const int64_t k = (int64_t)i * s.channels;
                y[k] = convert<Out>((convert<T>(x[k]) - mean) * factor + offset);
            }
        }
    }
};

} // namespace ingot
