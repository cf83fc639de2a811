/* grid_sample: a block finds the pixels of some points and their weights, then a thread does V channels of a point at a
 * time. The bits are those of grid_sample_cpu.c. */
#include "cuda_rows.h"
#include "grid_sample/grid_sample_taps.h"

namespace ingot {

/* AXES spatial axes, TAPS elements of each. */
template <int AXES, int TAPS> struct grid_sample {
    static constexpr int threads = 128;
    static constexpr int blocks = 1;
    static constexpr int PIXELS = AXES == 1 ? TAPS : AXES == 2 ? TAPS * TAPS : TAPS * TAPS * TAPS;
    static constexpr int POINTS = 32, V = 4;
    struct pixel {
        int32_t at;
        float weight;
    };
    using call = ingot::call<3, ingot_grid_sample_params>;

    /* All pixels that a point lies between, within one image: their number. */
    static DEVICE int find(const call &c, const float *point, pixel *found) {
        int count = 1;
        found[0] = {0, 1.0f};
#pragma unroll
        for (int axis = 0; axis < AXES; axis++) {
            grid_tap tap[GRID_TAPS];
            const int extent = c.arg[0].dims[axis + 1];
            const int taps = grid_taps(&c.params, point[AXES - 1 - axis], extent, tap);
            for (int i = count - 1; i >= 0; i--) {
                const pixel base = found[i];
                for (int t = 0; t < taps; t++) {
                    found[i * taps + t] = {base.at * extent + (int32_t)tap[t].index, base.weight * tap[t].weight};
                }
            }
            count *= taps;
        }
        return count;
    }
    static DEVICE void run(const call &c) {
        INGOT_SHARED(pixel, pixels, [POINTS][PIXELS]);
        INGOT_SHARED(int, counts, [POINTS]);
        const ingot_cuda_arg &x = c.arg[0], &y = c.arg[2];
        const int channels = y.dims[AXES + 1], vectors = (channels - 1) / V + 1;
        int per_image = 1, image = 1;
#pragma unroll
        for (int axis = 1; axis <= AXES; axis++) {
            per_image *= y.dims[axis];
            image *= x.dims[axis];
        }
        const int points = channels > 0 ? y.dims[0] * per_image : 0;
        const float *from = static_cast<const float *>(x.data);
        float *to = static_cast<float *>(y.data);
        const bool whole = is_whole<V>(from) && x.pitch % V == 0, whole_out = is_whole<V>(to) && y.pitch % V == 0;
        for (int first = (int)blockIdx.x * POINTS; first < points; first += (int)gridDim.x * POINTS) {
            const int here = smaller(POINTS, points - first);
            sync_block();
            if ((int)threadIdx.x < here) {
                const float *grid = static_cast<const float *>(c.arg[1].data);
                counts[threadIdx.x] = find(c, grid + (int64_t)(first + (int)threadIdx.x) * AXES, pixels[threadIdx.x]);
            }
            sync_block();
            for (int i = (int)threadIdx.x; i < here * vectors; i += threads) {
                const int point = i / vectors, channel = i % vectors * V, left = channels - channel;
                const float *source = from + (int64_t)((first + point) / per_image * image) * x.pitch + channel;
                float sum[V] = {};
                for (int k = 0; k < counts[point]; k++) {
                    float e[V];
                    load_some(e, source + pixels[point][k].at * x.pitch, whole, left, 0.0f);
#pragma unroll
                    for (int j = 0; j < V; j++) sum[j] += pixels[point][k].weight * e[j];
                }
                store_some(to + (int64_t)(first + point) * y.pitch + channel, sum, whole_out, left);
            }
        }
    }
};

} // namespace ingot
