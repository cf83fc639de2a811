/* Which elements of an axis a point of grid_sample lies between. Shared with CUDA: the same bits. */
#ifndef INGOT_GRID_SAMPLE_TAPS_H
#define INGOT_GRID_SAMPLE_TAPS_H

#include "grid_sample/grid_sample.h"

enum { GRID_AXES_MAX = 3, GRID_TAPS = 4, GRID_PIXELS_MAX = 64 };

typedef struct grid_tap {
    int64_t index; /* of the axis; of the pixel once axes are combined */
    float weight;
} grid_tap;

/* Index `i` mirrored into [0, extent): at the outer edges of the image, or at the centres of its border elements. */
static inline int64_t grid_mirrored(int64_t i, int64_t extent, int at_centres) {
    int64_t period = at_centres ? 2 * (extent - 1) : 2 * extent;
    if (period == 0) {
        return 0;
    }
    i %= period;
    i += i < 0 ? period : 0;
    return i < extent ? i : period - (at_centres ? 0 : 1) - i;
}

/* Place `x` mirrored into [low, high]; what is no number goes to `low`. */
static inline double grid_mirrored_place(double x, double low, double high) {
    double range = high - low, beyond = x < low ? low - x : x - high;
    if (x >= low && x <= high) {
        return x;
    }
    if (!(range > 0.0) || !(beyond < 1e18)) {
        return low;
    }
    double turns = __builtin_floor(beyond / range), rest = beyond - turns * range;
    int back = turns - 2.0 * __builtin_floor(turns / 2.0) == 0.0;
    return (x < low) == back ? low + rest : high - rest;
}

/* The place along an axis of `extent` elements that a coordinate in [-1, 1] means, brought near the image. */
static inline double grid_place(const ingot_grid_sample_params *p, float coordinate, int64_t extent) {
    float length = (float)extent;
    double x =
        p->align_corners ? (coordinate + 1.0f) / 2.0f * (length - 1.0f) : ((coordinate + 1.0f) * length - 1.0f) / 2.0f;
    double low = p->align_corners ? 0.0 : -0.5, high = (double)extent - (p->align_corners ? 1.0 : 0.5);
    if (p->mode == INGOT_GRID_NEAREST) {
        x = __builtin_rint(x);
    }
    if (p->padding == INGOT_GRID_REFLECTION) {
        x = grid_mirrored_place(x, low, high);
    } else if (p->padding == INGOT_GRID_BORDER && !(x >= low && x <= high)) {
        x = x > high ? (double)extent - 1.0 : 0.0;
    }
    /* far outside is outside; also what makes the conversion to an integer safe */
    double near = x > -8.0 ? x : -8.0;
    return near < (double)extent + 8.0 ? near : (double)extent + 8.0;
}

/* The taps of one axis for a coordinate; those that count for nothing (zeros outside) are left out. */
static inline int grid_taps(const ingot_grid_sample_params *p, float coordinate, int64_t extent, grid_tap *tap) {
    const float a = -0.75f;
    const double x = grid_place(p, coordinate, extent);
    double left = __builtin_floor(x);
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
            index = p->padding == INGOT_GRID_REFLECTION ? grid_mirrored(index, extent, p->align_corners != 0)
                    : index < 0                         ? 0
                                                        : extent - 1;
        }
        tap[kept].index = index;
        tap[kept++].weight = weight[t];
    }
    return kept;
}

#endif
