/* resize_s8: linear interpolation of int8 with weights of 11 bits, exact sums; or, of models that arrive quantised, in
 * binary32, corner by corner. The bits are those of resize_s8_cpu.c. */
#include "cuda_store_s8.h"
#include "resize/resize_cuda.h"

namespace ingot {

template <class Out> struct resize_s8_whole {
    using in = int8_t;
    using out = Out;
    using weight = int32_t;
    using params = ingot_resize_s8_params;
    ingot_requantize q;
    int32_t offset;

    static DEVICE const ingot_resize_params &resize_of(const params &p) { return p.resize; }
    static DEVICE resize_tap tap(const ingot_resize_params &p, uint32_t axis, int i, int in, int out, int tap) {
        const resize_filter f = resize_filter_of(&p, axis, i, in, out);
        resize_tap both[2] = {resize_filter_tap(&p, &f, 0), resize_filter_tap(&p, &f, 1)};
        resize_whole_weights(both);
        return tap == 0 ? both[0] : both[1];
    }
    DEVICE resize_s8_whole(const params &p) {
        int32_t one = 1; /* the sum of the weights */
        for (uint32_t axes = p.resize.axes; axes != 0; axes &= axes - 1) one *= 1 << INGOT_RESIZE_S8_BITS;
        q = ingot_s8_result(&p.scales, ingot_s8_multiplier(&p.scales, (double)one));
        offset = one * p.scales.input_zero;
    }
    DEVICE Out outside() const { return Out{}; }
    template <int TAPS, int V>
    DEVICE void apply(Out (&y)[V], const int8_t *x, bool whole, const resize_entry<int32_t> *columns,
                      const resize_entry<int32_t> *rows, int mixed) const {
        int32_t sum[V] = {};
#pragma unroll
        for (int t = 0; t < TAPS; t++) {
            for (int k = 0; k < mixed; k++) {
                const int32_t weight = columns[t].weight * rows[k].weight;
                int8_t e[V];
                load_some(e, x + rows[k].at + columns[t].at, whole, V, (int8_t)0);
#pragma unroll
                for (int j = 0; j < V; j++) sum[j] += weight * e[j];
            }
        }
#pragma unroll
        for (int j = 0; j < V; j++) y[j] = finish_s8<Out>(q, (float)(int32_t)((uint32_t)sum[j] - (uint32_t)offset));
    }
};

struct resize_s8_model {
    using in = int8_t;
    using out = int8_t;
    using weight = float;
    using params = ingot_resize_s8_params;
    ingot_linear_s8 linear;
    int32_t zero;
    float scale;

    static DEVICE const ingot_resize_params &resize_of(const params &p) { return p.resize; }
    static DEVICE resize_tap tap(const ingot_resize_params &p, uint32_t axis, int i, int in, int out, int tap) {
        resize_tap both[2];
        resize_real_taps(&p, axis, i, in, out, both);
        return tap == 0 ? both[0] : both[1];
    }
    DEVICE resize_s8_model(const params &p)
        : linear(ingot_s8_linear(&p.scales, p.model)), zero(p.scales.input_zero), scale((float)p.scales.input_scale) {}
    DEVICE int8_t outside() const { return 0; }
    template <int TAPS, int V>
    DEVICE void apply(int8_t (&y)[V], const int8_t *x, bool whole, const resize_entry<float> *columns,
                      const resize_entry<float> *rows, int) const {
        float sum[V];
#pragma unroll
        for (int corner = 0; corner < 4; corner++) {
            const resize_entry<float> along = columns[corner % 2], across = rows[corner / 2];
            const float weight = along.weight * across.weight;
            int8_t e[V];
            load_some(e, x + across.at + along.at, whole, V, (int8_t)0);
#pragma unroll
            for (int j = 0; j < V; j++) {
                const float part = weight * ((float)(e[j] - zero) * scale);
                sum[j] = corner == 0 ? part : sum[j] + part;
            }
        }
#pragma unroll
        for (int j = 0; j < V; j++) y[j] = finish_linear_s8(linear, sum[j]);
    }
};

} // namespace ingot
