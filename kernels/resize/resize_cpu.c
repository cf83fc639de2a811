/* resize: interpolation onto another grid of the same axes. What is the same for all types and instruction sets: the
 * check, and the tables. The formulas are those of ONNX's Resize (its reference implementation, op_resize.py). */
#include "resize/resize.h"

#include <math.h>

#include "resize/resize_body.h"

/* More taps for one index, more table entries for an axis, or more rows to mix are refused: a small hostile file must
 * not ask for any amount of work. */
static const double taps_max = 65536.0;
static const int64_t entries_max = (int64_t)1 << 22, mixed_max = (int64_t)1 << 20;

static bool is_resized(const ingot_resize_params *p, uint32_t axis) { return (p->axes >> axis & 1) != 0; }

/* First position of the filter relative to the element at or left of the place, for a filter of radius `radius`. */
static double filter_begin(const ingot_resize_params *p, uint32_t axis, double radius) {
    double scale = p->antialias && p->scale[axis] < 1.0 ? p->scale[axis] : 1.0;
    return floor(-radius / scale) + 1.0;
}

static double tap_count(const ingot_resize_params *p, uint32_t axis) {
    if (!is_resized(p, axis) || p->mode == INGOT_RESIZE_NEAREST) {
        return 1.0;
    }
    return 2.0 - 2.0 * filter_begin(p, axis, p->mode == INGOT_RESIZE_LINEAR ? 1.0 : 2.0);
}

/* Rows with gaps behind them end at the last axis, even if the run could go on. */
static uint32_t row_axis(const ingot_call *call) {
    const ingot_resize_params *p = call->params;
    const ingot_arg *out = &call->out[0];
    uint32_t axis = out->rank - 1U;
    bool gaps = out->pitch != ingot_last_extent(out);
    while (axis > 0 && !is_resized(p, axis) && !(gaps && axis + 2U == out->rank)) {
        axis--;
    }
    return axis;
}

static const char *check_axis(const ingot_call *call, uint32_t axis) {
    const ingot_resize_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (!is_resized(p, axis)) {
        return in->dims[axis] == out->dims[axis] ? NULL : "resize: an axis that is not resized changes";
    }
    if (!(p->scale[axis] > 0.0) || !isfinite(p->scale[axis]) || !isfinite(p->roi_begin[axis]) ||
        !isfinite(p->roi_end[axis])) {
        return "resize: a scale or region that is no number";
    }
    if (in->dims[axis] == 0) {
        return "resize: nothing to interpolate";
    }
    double taps = tap_count(p, axis);
    if (!(taps <= taps_max) || (out->count > 0 && out->dims[axis] > entries_max / (int64_t)taps)) {
        return "resize: the filter is too long";
    }
    return NULL;
}

const char *ingot_resize_check(const ingot_call *call) {
    const ingot_resize_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (p->mode >= INGOT_RESIZE_MODE_COUNT || p->coordinate >= INGOT_RESIZE_COORDINATE_COUNT ||
        p->rounding >= INGOT_RESIZE_ROUNDING_COUNT || p->antialias > 1 || p->exclude_outside > 1 ||
        !isfinite(p->cubic_a)) {
        return "resize: a parameter out of range";
    }
    if (in->rank == 0 || in->rank != out->rank || in->pitch != ingot_last_extent(in)) {
        return "resize: input and output differ in rank, or the input has gaps";
    }
    for (uint32_t axis = 0; axis < in->rank; axis++) {
        const char *problem = check_axis(call, axis);
        if (problem != NULL) {
            return problem;
        }
    }
    int64_t mixed = 1;
    for (uint32_t axis = 0; axis < row_axis(call); axis++) {
        mixed *= (int64_t)tap_count(p, axis);
        if (mixed > mixed_max) {
            return "resize: too many rows to mix";
        }
    }
    return NULL;
}

/* Only resized axes and the row's own have tables. */
static int64_t table_entries(const ingot_call *call, uint32_t axis) {
    bool has_table = is_resized(call->params, axis) || axis == row_axis(call);
    return has_table ? call->out[0].dims[axis] * (int64_t)tap_count(call->params, axis) : 0;
}

uint64_t ingot_resize_state_size(const ingot_call *call) {
    uint64_t entries = 0;
    for (uint32_t axis = 0; call->out[0].count > 0 && axis <= row_axis(call); axis++) {
        entries += (uint64_t)table_entries(call, axis);
    }
    return sizeof(resize_state) + entries * sizeof(resize_tap);
}

/* The place in the input that index `i` of the output shows, in elements. */
static double place(const ingot_resize_params *p, uint32_t axis, int64_t i, int64_t in, int64_t out) {
    double x = (double)i, scale = p->scale[axis], length = (double)in, width = scale * length;
    double begin = p->roi_begin[axis], end = p->roi_end[axis];
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
static double near_input(double x, int64_t in, double margin) {
    double high = (double)in + margin;
    if (!(x > -margin)) {
        return -margin;
    }
    return x < high ? x : high;
}

static int64_t nearest(uint32_t rounding, double x) {
    double left = floor(x), ratio = x - left;
    bool right = false;
    switch (rounding) {
    case INGOT_RESIZE_ROUND_PREFER_CEIL: right = ratio >= 0.5; break;
    case INGOT_RESIZE_FLOOR: break;
    case INGOT_RESIZE_CEIL: right = ratio > 0.0; break;
    default: right = ratio > 0.5; break;
    }
    return (int64_t)left + right;
}

/* Linear: a triangle of radius 1. Cubic: Keys' convolution kernel (1981) of radius 2 with parameter a. */
static double filter(const ingot_resize_params *p, double x) {
    double a = p->cubic_a;
    x = fabs(x);
    if (p->mode == INGOT_RESIZE_LINEAR) {
        return x < 1.0 ? 1.0 - x : 0.0;
    }
    if (x <= 1.0) {
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    }
    return x < 2.0 ? ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a : 0.0;
}

/* The taps of one index; `taps` of them around place `x`. */
static void make_taps(const ingot_resize_params *p, uint32_t axis, double x, int64_t in, int64_t taps,
                      resize_tap *tap) {
    double scale = p->antialias && p->scale[axis] < 1.0 ? p->scale[axis] : 1.0;
    double left = floor(x), ratio = x - left, sum = 0.0;
    if (ratio == 0.0) { /* of an element exactly hit, the filter counts as being just left */
        left -= 1.0;
        ratio = 1.0;
    }
    int64_t first = (int64_t)left - taps / 2 + 1;
    for (int64_t i = 0; i < taps; i++) {
        int64_t index = first + i;
        bool outside = index < 0 || index >= in;
        tap[i].offset = outside ? (index < 0 ? 0 : in - 1) : index;
        tap[i].weight = outside && p->exclude_outside ? 0.0 : filter(p, ((double)(i - taps / 2 + 1) - ratio) * scale);
        sum += tap[i].weight;
    }
    if ((p->antialias || p->exclude_outside) && sum != 0.0) {
        for (int64_t i = 0; i < taps; i++) {
            tap[i].weight /= sum;
        }
    }
}

static void make_table(const ingot_call *call, uint32_t axis, int64_t stride, int64_t taps, resize_tap *tap) {
    const ingot_resize_params *p = call->params;
    int64_t in = call->in[0].dims[axis], out = call->out[0].dims[axis];
    for (int64_t i = 0; i < out; i++, tap += taps) {
        if (!is_resized(p, axis)) {
            tap[0] = (resize_tap){i * stride, 1.0};
            continue;
        }
        double x = place(p, axis, i, in, out);
        bool extrapolates = p->coordinate == INGOT_RESIZE_TF_CROP_AND_RESIZE && !(x >= 0.0 && x <= (double)(in - 1));
        x = near_input(x, in, (double)taps + 2.0);
        if (p->mode == INGOT_RESIZE_NEAREST) {
            int64_t index = nearest(p->rounding, x);
            tap[0] = (resize_tap){index < 0 ? 0 : index >= in ? in - 1 : index, 1.0};
        } else {
            make_taps(p, axis, x, in, taps, tap);
        }
        for (int64_t t = 0; t < taps; t++) {
            tap[t].offset = extrapolates ? -1 : tap[t].offset * stride;
        }
    }
}

void ingot_resize_prepare(const ingot_call *call) {
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    resize_state *state = call->state;
    memset(state, 0, sizeof *state);
    if (out->count == 0) {
        return;
    }
    int64_t stride[INGOT_MAX_RANK], entries = 0;
    ingot_strides(in, stride);
    state->row_axis = row_axis(call);
    state->run = ingot_extent(out, (int)state->row_axis + 1, out->rank);
    state->rows = ingot_extent(out, 0, (int)state->row_axis);
    state->mixed_max = 1;
    for (uint32_t axis = 0; axis <= state->row_axis; axis++) {
        int64_t taps = (int64_t)tap_count(call->params, axis), count = table_entries(call, axis);
        if (count == 0) {
            state->stride[axis] = stride[axis];
            continue;
        }
        state->taps[axis] = taps;
        state->first[axis] = entries;
        make_table(call, axis, stride[axis], taps, state->tap + entries);
        entries += count;
        state->mixed_max *= axis < state->row_axis ? taps : 1;
    }
}

uint32_t ingot_resize_units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    if (out->count == 0) {
        return 1;
    }
    int64_t rows = ingot_extent(out, 0, (int)row_axis(call));
    return ingot_units_for(rows, out->count / rows * ingot_element_size(out->dtype));
}

/* The rows to mix and the mixed row. */
uint64_t ingot_resize_scratch_size(const ingot_call *call) {
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (out->count == 0) {
        return 0;
    }
    uint32_t axis = row_axis(call);
    uint64_t mixed = 1;
    for (uint32_t a = 0; a < axis; a++) {
        mixed *= (uint64_t)tap_count(call->params, a);
    }
    return mixed * sizeof(resize_tap) + (uint64_t)ingot_extent(in, (int)axis, in->rank) * sizeof(double);
}

static const char *check(const ingot_call *call) {
    const ingot_resize_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    bool real = in->dtype == INGOT_F32 || in->dtype == INGOT_F64;
    bool copies = p->mode == INGOT_RESIZE_NEAREST && p->coordinate != INGOT_RESIZE_TF_CROP_AND_RESIZE;
    if (in->dtype != out->dtype || ingot_element_size(in->dtype) == 0 || !(real || copies)) {
        return "resize: wrong element types";
    }
    return ingot_resize_check(call);
}

const ingot_family ingot_family_resize = {
    .params_size = sizeof(ingot_resize_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = ingot_resize_units,
    .state_size = ingot_resize_state_size,
    .prepare = ingot_resize_prepare,
    .scratch_size = ingot_resize_scratch_size,
};
