/* The work of grid_sample, compiled once for each instruction set: for each point the taps along each axis, their
 * products, and a weighted sum of that many pixels. */
#include <math.h>

#include "grid_sample/grid_sample.h"
#include "strided_copy/movement.h"

enum { GRID_AXES_MAX = 3, GRID_TAPS = 4, GRID_PIXELS_MAX = 64 };

typedef struct grid_tap {
    int64_t index; /* of the axis; of the pixel once axes are combined */
    float weight;
} grid_tap;

static inline uint32_t grid_sample_units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    int64_t channels = ingot_last_extent(out);
    return out->count == 0 ? 1 : ingot_units_for(out->count / channels, channels * 16);
}

/* Index `i` mirrored into [0, extent): at the outer edges of the image, or at the centres of its border elements. */
static int64_t mirrored(int64_t i, int64_t extent, bool at_centres) {
    int64_t period = at_centres ? 2 * (extent - 1) : 2 * extent;
    if (period == 0) {
        return 0;
    }
    i %= period;
    i += i < 0 ? period : 0;
    return i < extent ? i : period - (at_centres ? 0 : 1) - i;
}

/* Place `x` mirrored into [low, high]; what is no number goes to `low`. */
static double mirrored_place(double x, double low, double high) {
    double range = high - low, beyond = x < low ? low - x : x - high;
    if (x >= low && x <= high) {
        return x;
    }
    if (!(range > 0.0) || !(beyond < 1e18)) {
        return low;
    }
    double turns = floor(beyond / range), rest = beyond - turns * range;
    bool back = fmod(turns, 2.0) == 0.0;
    return (x < low) == back ? low + rest : high - rest;
}

/* The place along an axis of `extent` elements that a coordinate in [-1, 1] means, brought near the image. */
static double place(const ingot_grid_sample_params *p, float coordinate, int64_t extent) {
    float length = (float)extent;
    double x =
        p->align_corners ? (coordinate + 1.0f) / 2.0f * (length - 1.0f) : ((coordinate + 1.0f) * length - 1.0f) / 2.0f;
    double low = p->align_corners ? 0.0 : -0.5, high = (double)extent - (p->align_corners ? 1.0 : 0.5);
    if (p->mode == INGOT_GRID_NEAREST) {
        x = rint(x);
    }
    if (p->padding == INGOT_GRID_REFLECTION) {
        x = mirrored_place(x, low, high);
    } else if (p->padding == INGOT_GRID_BORDER && !(x >= low && x <= high)) {
        x = x > high ? (double)extent - 1.0 : 0.0;
    }
    /* far outside is outside; also what makes the conversion to an integer safe */
    double near = x > -8.0 ? x : -8.0;
    return near < (double)extent + 8.0 ? near : (double)extent + 8.0;
}

/* The taps of one axis; those that count for nothing (zeros outside) are left out. */
static int axis_taps(const ingot_grid_sample_params *p, double x, int64_t extent, grid_tap *tap) {
    static const float a = -0.75f;
    double left = floor(x);
    int64_t first = (int64_t)left;
    float r = (float)(x - left), s = 1.0f - r, weight[GRID_TAPS] = {1.0f};
    int count = 1, kept = 0;
    if (p->mode == INGOT_GRID_LINEAR) {
        weight[0] = s;
        weight[1] = r;
        count = 2;
    } else if (p->mode == INGOT_GRID_CUBIC) {
        weight[0] = ((a * (r + 1.0f) - 5.0f * a) * (r + 1.0f) + 8.0f * a) * (r + 1.0f) - 4.0f * a;
        weight[1] = ((a + 2.0f) * r - (a + 3.0f)) * r * r + 1.0f;
        weight[2] = ((a + 2.0f) * s - (a + 3.0f)) * s * s + 1.0f;
        weight[3] = ((a * (s + 1.0f) - 5.0f * a) * (s + 1.0f) + 8.0f * a) * (s + 1.0f) - 4.0f * a;
        first -= 1;
        count = 4;
    }
    for (int t = 0; t < count; t++) {
        int64_t index = first + t;
        if (index < 0 || index >= extent) {
            if (p->padding == INGOT_GRID_ZEROS) {
                continue;
            }
            index = p->padding == INGOT_GRID_REFLECTION ? mirrored(index, extent, p->align_corners)
                    : index < 0                         ? 0
                                                        : extent - 1;
        }
        tap[kept++] = (grid_tap){index, weight[t]};
    }
    return kept;
}

/* All pixels that a point lies between, within one image. */
static int point_pixels(const ingot_call *call, const float *point, grid_tap *pixel) {
    const ingot_arg *x = &call->in[0];
    int axes = x->rank - 2, count = 1;
    pixel[0] = (grid_tap){0, 1.0f};
    for (int axis = 0; axis < axes; axis++) {
        grid_tap tap[GRID_TAPS];
        int64_t extent = x->dims[axis + 1];
        int taps = axis_taps(call->params, place(call->params, point[axes - 1 - axis], extent), extent, tap);
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
