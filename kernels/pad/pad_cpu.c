/* pad: adds (or, with negative amounts, takes away) elements at both ends of each axis.
 *
 * prepare makes for each padded axis a table that says which input index each output index shows, -1 for the
 * constant. Axes behind the last padded one are one run of bytes that moves as a whole. */
#include "pad/pad.h"

#include "strided_copy/movement.h"

typedef struct pad_state {
    int64_t run;   /* elements that move together */
    int64_t rows;  /* of the output: products of the extents of all padded axes but the last */
    uint32_t axes; /* axes [0, axes) have tables; the last of them is the row's own */
    uint32_t reserved;
    int64_t stride[INGOT_MAX_RANK]; /* of the input, in elements */
    int64_t table[];                /* out.dims[0] entries, then out.dims[1], ... */
} pad_state;

static const char *check(const ingot_call *call) {
    const ingot_pad_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (in->dtype != out->dtype || in->rank != out->rank || ingot_element_size(in->dtype) == 0) {
        return "pad: input and output differ in type or rank";
    }
    if (p->mode >= INGOT_PAD_MODE_COUNT) {
        return "pad: unknown mode";
    }
    for (int axis = 0; axis < in->rank; axis++) {
        if (p->before[axis] > out->dims[axis] || p->before[axis] < -in->dims[axis]) {
            return "pad: more padding in front than the axis is long";
        }
        if (p->mode != INGOT_PAD_CONSTANT && in->dims[axis] == 0 && out->dims[axis] != 0) {
            return "pad: nothing to repeat";
        }
    }
    return NULL;
}

/* Axes that need a table: all up to the last one whose extent or start changes, or whose rows are not side by side. */
static uint32_t table_axes(const ingot_call *call) {
    const ingot_pad_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    uint32_t rank = in->rank;
    if (rank > 0 && (in->pitch != in->dims[rank - 1] || out->pitch != out->dims[rank - 1])) {
        /* rows with gaps: the run ends with the row, if it may be a run at all */
        return p->before[rank - 1] == 0 && in->dims[rank - 1] == out->dims[rank - 1] ? rank - 1 : rank;
    }
    while (rank > 0 && p->before[rank - 1] == 0 && in->dims[rank - 1] == out->dims[rank - 1]) {
        rank--;
    }
    return rank;
}

static uint64_t state_size(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    uint64_t entries = 0;
    for (uint32_t axis = 0; out->count > 0 && axis < table_axes(call); axis++) {
        entries += (uint64_t)out->dims[axis];
    }
    return sizeof(pad_state) + entries * sizeof(int64_t);
}

/* The input index that output index `i` (counted from the input's first element) shows. */
static int64_t source(int64_t i, int64_t extent, uint32_t mode) {
    if (i >= 0 && i < extent) {
        return i;
    }
    int64_t period = extent;
    switch (mode) {
    case INGOT_PAD_EDGE: return i < 0 ? 0 : extent - 1;
    case INGOT_PAD_WRAP: i %= period; return i < 0 ? i + period : i;
    case INGOT_PAD_REFLECT:
        period = extent > 1 ? 2 * (extent - 1) : 1;
        i %= period;
        i += i < 0 ? period : 0;
        return i < extent ? i : period - i;
    default: return -1;
    }
}

static void prepare(const ingot_call *call) {
    const ingot_pad_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    pad_state *state = call->state;
    memset(state, 0, sizeof *state);
    if (out->count == 0) {
        return;
    }
    state->axes = table_axes(call);
    state->run = ingot_extent(out, (int)state->axes, out->rank);
    state->rows = ingot_extent(out, 0, (int)state->axes - 1);
    if (in->count > 0) {
        ingot_strides(in, state->stride);
    }
    int64_t *table = state->table;
    for (uint32_t axis = 0; axis < state->axes; axis++) {
        for (int64_t i = 0; i < out->dims[axis]; i++) {
            int64_t from = source(i - p->before[axis], in->dims[axis], p->mode);
            *table++ = from < 0 ? -1 : from * state->stride[axis];
        }
    }
}

static uint32_t units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    if (out->count == 0) {
        return 1;
    }
    int64_t rows = ingot_extent(out, 0, (int)table_axes(call) - 1);
    return ingot_units_for(rows, out->count / rows * ingot_element_size(out->dtype));
}

/* One row: `n` runs, each shown in `table`, runs that lie side by side moved at once. */
static void pad_row(const ingot_call *call, const int64_t *table, int64_t n, const char *in, char *out,
                    int64_t out_step) {
    const ingot_pad_params *p = call->params;
    const pad_state *state = call->state;
    int64_t size = ingot_element_size(call->in[0].dtype), run = state->run;
    for (int64_t i = 0, end; i < n; i = end) {
        bool constant = in == NULL || table[i] < 0;
        end = i + 1;
        if (out_step == run) {
            while (end < n && (constant ? in == NULL || table[end] < 0 : table[end] == table[end - 1] + run)) {
                end++;
            }
        }
        if (constant) {
            ingot_fill_run(out + i * out_step * size, p->value, size, (end - i) * run);
        } else {
            ingot_copy_run(out + i * out_step * size, in + table[i] * size, (end - i) * run * size);
        }
    }
}

INGOT_KERNEL_FN(pad) {
    (void)scratch;
    const pad_state *state = call->state;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    int64_t size = ingot_element_size(in->dtype), out_stride[INGOT_MAX_RANK];
    ingot_strides(out, out_stride);
    if (state->axes == 0) { /* nothing is padded */
        ingot_copy_run(out->data, in->data, out->count * size);
        return INGOT_KERNEL_OK;
    }
    uint32_t all = units(call), row_axis = state->axes - 1;
    int64_t last = ingot_unit_begin(state->rows, all, end);
    for (int64_t row = ingot_unit_begin(state->rows, all, begin); row < last; row++) {
        int64_t rest = row, from = 0, to = 0;
        const int64_t *table = state->table;
        for (uint32_t axis = 0; axis < row_axis; axis++) {
            table += out->dims[axis];
        }
        const int64_t *own = table;
        for (uint32_t axis = row_axis; axis-- > 0;) {
            table -= out->dims[axis];
            int64_t index = rest % out->dims[axis];
            rest /= out->dims[axis];
            to += index * out_stride[axis];
            from = from < 0 || table[index] < 0 ? -1 : from + table[index];
        }
        pad_row(call, own, out->dims[row_axis], from < 0 ? NULL : (const char *)in->data + from * size,
                (char *)out->data + to * size, out_stride[row_axis]);
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_pad = {
    .params_size = sizeof(ingot_pad_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = units,
    .state_size = state_size,
    .prepare = prepare,
};
