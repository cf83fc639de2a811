/* For an index of a resized axis of the output, which elements count how much. Shared with CUDA: the same bits. The
 * formulas are those of ONNX's Resize (its reference implementation, op_resize.py). */
#ifndef INGOT_RESIZE_TAPS_H
#define INGOT_RESIZE_TAPS_H

#include "resize/resize.h"

enum { INGOT_RESIZE_S8_BITS = 11 }; /* of a weight of int8 elements */

typedef struct resize_tap {
    int64_t offset; /* elements from the start of the input; -1: outside, the whole result is the extrapolation value */
    double weight;
} resize_tap;

static inline int resize_is_resized(const ingot_resize_params *p, uint32_t axis) { return (p->axes >> axis & 1) != 0; }

/* Of a filter that grows as the output shrinks, how much narrower the axis becomes. */
static inline double resize_shrinks(const ingot_resize_params *p, uint32_t axis) {
    return p->antialias && p->scale[axis] < 1.0 ? p->scale[axis] : 1.0;
}

/* Taps of each index of an axis: even, so many on either side of the place. */
static inline double resize_tap_count(const ingot_resize_params *p, uint32_t axis) {
    if (!resize_is_resized(p, axis) || p->mode == INGOT_RESIZE_NEAREST) {
        return 1.0;
    }
    const double radius = p->mode == INGOT_RESIZE_LINEAR ? 1.0 : 2.0;
    return -2.0 * __builtin_floor(-radius / resize_shrinks(p, axis));
}

/* The place in the input that index `i` of the output shows, in elements. */
static inline double resize_place(const ingot_resize_params *p, uint32_t axis, int64_t i, int64_t in, int64_t out) {
    const double x = (double)i, scale = p->scale[axis], length = (double)in, width = scale * length;
    const double begin = p->roi_begin[axis], end = p->roi_end[axis];
    switch (p->coordinate) {
    case INGOT_RESIZE_HALF_PIXEL_SYMMETRIC: return length / 2.0 * (1.0 - (double)out / width) + (x + 0.5) / scale - 0.5;
    case INGOT_RESIZE_PYTORCH_HALF_PIXEL: return width == 1.0 ? -0.5 : (x + 0.5) / scale - 0.5;
    case INGOT_RESIZE_ALIGN_CORNERS: return width == 1.0 ? 0.0 : x * (length - 1.0) / (width - 1.0);
    case INGOT_RESIZE_ASYMMETRIC: return x / scale;
    case INGOT_RESIZE_TF_HALF_PIXEL_FOR_NN: return (x + 0.5) / scale;
    case INGOT_RESIZE_TF_CROP_AND_RESIZE:
        return (width == 1.0 ? (end - begin) * (length - 1.0) / 2.0
                             : x * (end - begin) * (length - 1.0) / (width - 1.0)) +
               begin * (length - 1.0);
    default: return (x + 0.5) / scale - 0.5;
    }
}

/* Keeps a place near the input, where it fits an integer; NaN goes to the low end. */
static inline double resize_near(double x, int64_t in, double margin) {
    const double high = (double)in + margin;
    if (!(x > -margin)) {
        return -margin;
    }
    return x < high ? x : high;
}

static inline int64_t resize_nearest(uint32_t rounding, double x) {
    const double left = __builtin_floor(x), ratio = x - left;
    int right = 0;
    switch (rounding) {
    case INGOT_RESIZE_ROUND_PREFER_CEIL: right = ratio >= 0.5; break;
    case INGOT_RESIZE_FLOOR: break;
    case INGOT_RESIZE_CEIL: right = ratio > 0.0; break;
    default: right = ratio > 0.5; break;
    }
    return (int64_t)left + right;
}

/* Linear: a triangle of radius 1. Cubic: Keys' convolution kernel (1981) of radius 2 with parameter a. */
static inline double resize_kernel(const ingot_resize_params *p, double x) {
    const double a = p->cubic_a;
    x = x < 0.0 ? -x : x;
    if (p->mode == INGOT_RESIZE_LINEAR) {
        return x < 1.0 ? 1.0 - x : 0.0;
    }
    if (x <= 1.0) {
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    }
    return x < 2.0 ? ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a : 0.0;
}

/* What the taps of one index are made of. */
typedef struct resize_filter {
    int64_t first, taps, in;
    double ratio, scale, sum; /* sum: of the weights, where they are to be divided by it; else 0 */
    int outside;              /* the whole result is the extrapolation value */
} resize_filter;

static inline double resize_raw_weight(const ingot_resize_params *p, const resize_filter *f, int64_t tap) {
    const int64_t index = f->first + tap;
    const int counts = !p->exclude_outside || (index >= 0 && index < f->in);
    return counts ? resize_kernel(p, ((double)(tap - f->taps / 2 + 1) - f->ratio) * f->scale) : 0.0;
}

/* Of index `i` of an axis that is resized. */
static inline resize_filter resize_filter_of(const ingot_resize_params *p, uint32_t axis, int64_t i, int64_t in,
                                             int64_t out) {
    resize_filter f;
    double x = resize_place(p, axis, i, in, out);
    f.taps = (int64_t)resize_tap_count(p, axis);
    f.in = in;
    f.sum = 0.0;
    f.ratio = 0.0;
    f.scale = resize_shrinks(p, axis);
    f.outside = p->coordinate == INGOT_RESIZE_TF_CROP_AND_RESIZE && !(x >= 0.0 && x <= (double)(in - 1));
    x = resize_near(x, in, (double)f.taps + 2.0);
    if (p->mode == INGOT_RESIZE_NEAREST) {
        f.first = resize_nearest(p->rounding, x);
        return f;
    }
    double left = __builtin_floor(x);
    f.ratio = x - left;
    if (f.ratio == 0.0) { /* of an element exactly hit, the filter counts as being just left */
        left -= 1.0;
        f.ratio = 1.0;
    }
    f.first = (int64_t)left - f.taps / 2 + 1;
    for (int64_t tap = 0; (p->antialias || p->exclude_outside) && tap < f.taps; tap++) {
        f.sum += resize_raw_weight(p, &f, tap);
    }
    return f;
}

/* Tap `tap` of them; its offset counts elements of the axis. */
static inline resize_tap resize_filter_tap(const ingot_resize_params *p, const resize_filter *f, int64_t tap) {
    const int64_t index = f->first + tap;
    const double weight = p->mode == INGOT_RESIZE_NEAREST ? 1.0 : resize_raw_weight(p, f, tap);
    resize_tap t;
    t.offset = index < 0 ? 0 : index >= f->in ? f->in - 1 : index;
    t.weight = f->sum != 0.0 ? weight / f->sum : weight;
    return t;
}

/* Linear, of int8: the weight of the left element as a whole number, half to even; the right one has the rest. */
static inline void resize_whole_weights(resize_tap tap[2]) {
    const double magic = 6755399441055744.0, one = 1 << INGOT_RESIZE_S8_BITS; /* 1.5 * 2^52 */
    tap[0].weight = (tap[0].weight * one + magic) - magic;
    tap[1].weight = one - tap[0].weight;
}

/* The place in the input that index `i` shows, in binary32 throughout: as other runtimes have it. */
static inline float resize_real_place(const ingot_resize_params *p, uint32_t axis, int64_t i, int64_t in, int64_t out) {
    const float x = (float)i, scale = (float)p->scale[axis], length = (float)in, wanted = (float)out;
    switch (p->coordinate) {
    case INGOT_RESIZE_ASYMMETRIC: return x / scale;
    case INGOT_RESIZE_ALIGN_CORNERS: return out == 1 ? 0.0f : x * (length - 1.0f) / (wanted - 1.0f);
    case INGOT_RESIZE_PYTORCH_HALF_PIXEL: return out > 1 ? (x + 0.5f) / scale - 0.5f : 0.0f;
    case INGOT_RESIZE_TF_HALF_PIXEL_FOR_NN: return (x + 0.5f) / scale;
    case INGOT_RESIZE_HALF_PIXEL_SYMMETRIC: {
        const float adjustment = wanted / (scale * length), centre = length / 2.0f;
        return centre * (1.0f - adjustment) + (x + 0.5f) / scale - 0.5f;
    }
    default: return (x + 0.5f) / scale - 0.5f;
    }
}

/* The two taps of linear with weights of binary32; on the last element both are a half. */
static inline void resize_real_taps(const ingot_resize_params *p, uint32_t axis, int64_t i, int64_t in, int64_t out,
                                    resize_tap tap[2]) {
    float x = resize_real_place(p, axis, i, in, out);
    x = x > 0.0f ? x : 0.0f;
    x = x < (float)(in - 1) ? x : (float)(in - 1);
    const int64_t left = (int64_t)x < in - 1 ? (int64_t)x : in - 1, right = left < in - 1 ? left + 1 : left;
    const float behind = x - (float)left, ahead = (float)right - x;
    tap[0].offset = left;
    tap[0].weight = left == right ? 0.5 : (double)ahead;
    tap[1].offset = right;
    tap[1].weight = left == right ? 0.5 : (double)behind;
}

#endif
