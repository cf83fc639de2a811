/* resize: interpolation onto another grid of the same axes. What is the same for all types and instruction sets: the
 * check, and the tables. */
#include "resize/resize.h"

#include <math.h>

#include "resize/resize_body.h"

/* More taps for one index, more table entries for an axis, or more rows to mix are refused: a small hostile file must
 * not ask for any amount of work. */
static const double taps_max = 65536.0;
static const int64_t entries_max = (int64_t)1 << 22, mixed_max = (int64_t)1 << 20;

/* Rows with gaps behind them end at the last axis, even if the run could go on. */
static uint32_t row_axis(const ingot_call *call) {
    const ingot_resize_params *p = call->params;
    const ingot_arg *out = &call->out[0];
    uint32_t axis = out->rank - 1U;
    bool gaps = out->pitch != ingot_last_extent(out);
    while (axis > 0 && !resize_is_resized(p, axis) && !(gaps && axis + 2U == out->rank)) {
        axis--;
    }
    return axis;
}

static const char *check_axis(const ingot_call *call, uint32_t axis) {
    const ingot_resize_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (!resize_is_resized(p, axis)) {
        return in->dims[axis] == out->dims[axis] ? NULL : "resize: an axis that is not resized changes";
    }
    if (!(p->scale[axis] > 0.0) || !isfinite(p->scale[axis]) || !isfinite(p->roi_begin[axis]) ||
        !isfinite(p->roi_end[axis])) {
        return "resize: a scale or region that is no number";
    }
    if (in->dims[axis] == 0) {
        return "resize: nothing to interpolate";
    }
    double taps = resize_tap_count(p, axis);
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
        mixed *= (int64_t)resize_tap_count(p, axis);
        if (mixed > mixed_max) {
            return "resize: too many rows to mix";
        }
    }
    return NULL;
}

/* Only resized axes and the row's own have tables. */
static int64_t table_entries(const ingot_call *call, uint32_t axis) {
    bool has_table = resize_is_resized(call->params, axis) || axis == row_axis(call);
    return has_table ? call->out[0].dims[axis] * (int64_t)resize_tap_count(call->params, axis) : 0;
}

uint64_t ingot_resize_state_size(const ingot_call *call) {
    uint64_t entries = 0;
    for (uint32_t axis = 0; call->out[0].count > 0 && axis <= row_axis(call); axis++) {
        entries += (uint64_t)table_entries(call, axis);
    }
    return sizeof(resize_state) + entries * sizeof(resize_tap);
}

static void make_table(const ingot_call *call, uint32_t axis, int64_t stride, int64_t taps, resize_tap *tap) {
    const ingot_resize_params *p = call->params;
    int64_t in = call->in[0].dims[axis], out = call->out[0].dims[axis];
    for (int64_t i = 0; i < out; i++, tap += taps) {
        if (!resize_is_resized(p, axis)) {
            tap[0] = (resize_tap){i * stride, 1.0};
            continue;
        }
        const resize_filter filter = resize_filter_of(p, axis, i, in, out);
        for (int64_t t = 0; t < taps; t++) {
            const resize_tap place = resize_filter_tap(p, &filter, t);
            tap[t].offset = filter.outside ? -1 : place.offset * stride;
            tap[t].weight = place.weight;
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
        int64_t taps = (int64_t)resize_tap_count(call->params, axis), count = table_entries(call, axis);
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
        mixed *= (uint64_t)resize_tap_count(call->params, a);
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
