/* normalize_s8: sums and sums of squares of d = q - zero are exact; then (n d - sum) / sqrt(n squares - sum^2 + n^2
 * epsilon / scale^2), with one square root and one division in float64, and a product in float32. The bits are those of
 * normalize_s8_cpu.c. */
#include "cuda_store_s8.h"
#include "normalize/normalize_cuda.h"

namespace ingot {

/* Operands: x, factors and offsets or none; then y. */
using normalize_s8_call = ingot::call<4, ingot_normalize_s8_params>;

struct normalize_s8_row {
    ingot_requantize q;
    int32_t n, zero, sum;
    float inverse;
    const float *scale, *bias;

    DEVICE normalize_s8_row(const normalize_s8_call &c, int n) : n(n), zero(c.params.scales.input_zero) {
        q = ingot_s8_result(&c.params.scales, (float)(1.0 / c.params.scales.output_scale));
        scale = static_cast<const float *>(c.arg[1].data);
        bias = static_cast<const float *>(c.arg[2].data);
    }
    DEVICE void use(const normalize_s8_call &c, int32_t total, int64_t squares) {
        const int64_t all = c.params.normalize.kind == INGOT_NORMALIZE_RMS ? 0 : total;
        const double input = c.params.scales.input_scale, count = (double)n;
        const double epsilon = count * count * (c.params.normalize.epsilon / (input * input));
        inverse = (float)(1.0 / __builtin_sqrt((double)(n * squares - all * all) + epsilon));
        sum = (int32_t)all;
    }
    template <class Out> DEVICE Out of(int8_t x, float factor, float offset) const {
        return finish_s8<Out>(q, ingot_fma_f32((float)(n * (x - zero) - sum) * inverse, factor, offset));
    }
};

/* A team of threads a row, FLAT, or a group. What does not fit its registers is read twice. */
template <class Out, bool FLAT, int TEAM, int EACH> struct normalize_s8_rows {
    static constexpr int threads = TEAM > 128 ? TEAM : 128;
    static constexpr int blocks = 1;
    static constexpr int V = 4, CHUNKS = EACH / V, SWEEP = TEAM * EACH;
    using call = normalize_s8_call;

    static DEVICE int place(int chunk) { return (chunk * TEAM + (int)threadIdx.x % TEAM) * V; }
    /* What lies behind the end counts for nothing: it becomes the zero point. */
    static DEVICE void load(int8_t (&v)[CHUNKS][V], const normalized &s, const int8_t *row, int from, bool whole,
                            int8_t zero) {
#pragma unroll
        for (int k = 0; k < CHUNKS; k++) {
            const int i = from + place(k), left = s.n - i;
            if (FLAT || whole) {
                load_some(v[k], row + (FLAT ? i : s.place(left > 0 ? i : 0)), whole, left, zero);
            } else {
#pragma unroll
                for (int j = 0; j < V; j++) v[k][j] = j < left ? row[s.place(i + j)] : zero;
            }
        }
    }
    static DEVICE void apply(Out *y, const normalize_s8_row &r, const normalized &s, const int8_t (&v)[CHUNKS][V],
                             int row, int from, bool whole) {
#pragma unroll
        for (int k = 0; k < CHUNKS; k++) {
            const int i = from + place(k), left = s.n - i;
            if (left <= 0) break;
            Out out[V];
#pragma unroll
            for (int j = 0; j < V; j++) {
                const int column = FLAT ? i + j : s.column(row, i + j);
                const float factor = r.scale && j < left ? r.scale[column] : 1.0f;
                out[j] = r.of<Out>(v[k][j], factor, r.bias && j < left ? r.bias[column] : 0.0f);
            }
            if (FLAT || whole) {
                store_some(y + (FLAT ? i : s.place(i)), out, whole && is_whole<V>(y), left);
            } else {
#pragma unroll
                for (int j = 0; j < V; j++) {
                    if (j < left) y[s.place(i + j)] = out[j];
                }
            }
        }
    }
    static DEVICE void run(const call &c) {
        INGOT_SHARED(int32_t, sums, [32]);
        INGOT_SHARED(int64_t, squares, [32]);
        const normalized s = normalized_of(c.arg[0], c.params.normalize);
        const int8_t *x = static_cast<const int8_t *>(c.arg[0].data);
        Out *y = static_cast<Out *>(c.arg[3].data);
        const int32_t zero = c.params.scales.input_zero;
        const bool whole = is_whole<V>(x) && is_whole<V>(y) && s.run % V == 0 && s.pitch % V == 0;
        const int step = (int)gridDim.x * (threads / TEAM);
        normalize_s8_row r(c, s.n);
        int8_t v[CHUNKS][V];
        for (int row = (int)(blockIdx.x * (threads / TEAM) + threadIdx.x / TEAM); row < s.rows; row += step) {
            const int64_t at = s.begin(row);
            int32_t sum = 0;
            int64_t square = 0;
            for (int i = 0; i < s.n; i += SWEEP) {
                load(v, s, x + at, i, whole, (int8_t)zero);
                int32_t some = 0;
#pragma unroll
                for (int j = 0; j < EACH; j++) {
                    const int32_t d = v[j / V][j % V] - zero;
                    sum += d;
                    some += d * d;
                }
                square += some;
            }
            sum = join_team<TEAM>(sum, sums, add<int32_t>);
            r.use(c, sum, join_team<TEAM>(square, squares, add<int64_t>));
            for (int i = 0; i < s.n; i += SWEEP) {
                if (s.n > SWEEP) load(v, s, x + at, i, whole, (int8_t)zero);
                apply(y + at, r, s, v, row, i, whole);
            }
        }
    }
};

/* Groups of fewer than eight channels. */
template <class Out> struct normalize_s8_few {
    static constexpr int threads = 1024;
    static constexpr int blocks = 1;
    using call = normalize_s8_call;
    using shape = few_channels<threads>;

    static DEVICE void run(const call &c) {
        INGOT_SHARED(int32_t, sums, [shape::WARPS][8]);
        INGOT_SHARED(int64_t, squares, [shape::WARPS][8]);
        const shape s(c.arg[0], c.params.normalize.groups);
        const int count = c.arg[0].dims[0] * s.blocks;
        normalize_s8_row r(c, s.places * s.of_group);
        for (int block = (int)blockIdx.x; block < count; block += (int)gridDim.x) {
            const int channel = s.channel(block), places = channel < 0 ? 0 : s.places;
            const int64_t at = block / s.blocks * s.image + (channel < 0 ? 0 : channel);
            const int8_t *x = static_cast<const int8_t *>(c.arg[0].data) + at;
            Out *y = static_cast<Out *>(c.arg[3].data) + at;
            int32_t sum = 0;
            int64_t square = 0;
#pragma unroll 8
            for (int i = s.place; i < places; i += s.STEP) {
                const int32_t d = x[(int64_t)i * s.channels] - r.zero;
                sum += d;
                square += d * d;
            }
            sum = s.join(sum, sums);
            r.use(c, sum, s.join(square, squares));
            const float factor = r.scale && places ? r.scale[channel] : 1.0f;
            const float offset = r.bias && places ? r.bias[channel] : 0.0f;
#pragma unroll 4
            for (int i = s.place; i < places; i += s.STEP) {
                const int64_t k = (int64_t)i * s.channels;
                y[k] = r.of<Out>(x[k], factor, offset);
            }
        }
    }
};

} // namespace ingot
