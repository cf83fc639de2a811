/* The work of grid_sample, compiled once for each instruction set: for each point the taps along each axis, their
 * products, and a weighted sum of that many pixels. */
#include "grid_sample/grid_sample_taps.h"
#include "strided_copy/movement.h"

static inline uint32_t grid_sample_units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    int64_t channels = ingot_last_extent(out);
    return out->count == 0 ? 1 : ingot_units_for(out->count / channels, channels * 16);
}

/* All pixels that a point lies between, within one image. */
static int point_pixels(const ingot_call *call, const float *point, grid_tap *pixel) {
    const ingot_arg *x = &call->in[0];
    int axes = x->rank - 2, count = 1;
    pixel[0] = (grid_tap){0, 1.0f};
    for (int axis = 0; axis < axes; axis++) {
        grid_tap tap[GRID_TAPS];
        int64_t extent = x->dims[axis + 1];
        int taps = grid_taps(call->params, point[axes - 1 - axis], extent, tap);
        for (int i = count - 1; i >= 0; i--) {
            grid_tap base = pixel[i];
            for (int t = 0; t < taps; t++) {
                pixel[i * taps + t] = (grid_tap){base.index * extent + tap[t].index, base.weight * tap[t].weight};
            }
        }
        count *= taps;
    }
    return count;
}

INGOT_KERNEL_FN(grid_sample) {
    (void)scratch;
    const ingot_arg *x = &call->in[0], *grid = &call->in[1], *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    int64_t channels = ingot_last_extent(out), points = out->count / channels, per_image = points / out->dims[0];
    int64_t image = ingot_extent(x, 1, x->rank - 1), axes = x->rank - 2;
    uint32_t all = grid_sample_units(call);
    int64_t last = ingot_unit_begin(points, all, end);
    for (int64_t i = ingot_unit_begin(points, all, begin); i < last; i++) {
        grid_tap pixel[GRID_PIXELS_MAX];
        int count = point_pixels(call, (const float *)grid->data + i * axes, pixel);
        const float *from = (const float *)x->data + i / per_image * image * x->pitch;
        float *restrict to = (float *)out->data + i * out->pitch;
        for (int64_t c = 0; c < channels; c++) {
            to[c] = 0.0f;
        }
        for (int k = 0; k < count; k++) {
            const float *restrict source = from + pixel[k].index * x->pitch;
            float weight = pixel[k].weight;
            for (int64_t c = 0; c < channels; c++) {
                to[c] += weight * source[c];
            }
        }
    }
    return INGOT_KERNEL_OK;
}
