/* resize_s8: what it takes, and weights as whole numbers. */
#include "resize/resize_s8_impl.h"

static const char *check(const ingot_call *call) {
    const ingot_resize_s8_params *p = call->params;
    const ingot_resize_params *r = &p->resize;
    const uint32_t second = r->axes & (r->axes - 1);
    if (call->in[0].dtype != INGOT_I8 || r->mode != INGOT_RESIZE_LINEAR || r->antialias != 0 ||
        r->exclude_outside != 0 || r->coordinate == INGOT_RESIZE_TF_CROP_AND_RESIZE || (second & (second - 1)) != 0 ||
        r->axes >> call->in[0].rank != 0) {
        return "resize_s8: plain linear interpolation of int8 along two axes only";
    }
    if (p->reserved != 0 || (p->model != INGOT_S8_MODEL_NONE && p->model != INGOT_S8_MODEL_LINEAR)) {
        return "resize_s8: a parameter out of range";
    }
    const uint32_t last = call->in[0].rank >= 2 ? 1U << (call->in[0].rank - 2) : 0; /* or the axis behind it */
    if (p->model == INGOT_S8_MODEL_LINEAR &&
        (call->out[0].dtype != INGOT_I8 || second < last || r->axes != (second | second >> 1))) {
        return "resize_s8: a model's result is of int8, and of two neighbouring axes among the last three";
    }
    const char *wrong = ingot_s8_scales_check(&p->scales, call->out[0].dtype);
    return wrong == NULL ? ingot_resize_check(call) : wrong;
}

/* Tables of the two axes with weights of binary32; on the last element both weights are a half. */
static void prepare_real(const ingot_call *call, resize_state *state) {
    const ingot_resize_s8_params *p = call->params;
    int64_t stride[INGOT_MAX_RANK];
    ingot_strides(&call->in[0], stride);
    for (uint32_t axis = state->row_axis - 1; axis <= state->row_axis; axis++) {
        resize_tap *tap = state->tap + state->first[axis];
        const int64_t in = call->in[0].dims[axis], out = call->out[0].dims[axis];
        for (int64_t i = 0; i < out; i++, tap += 2) {
            resize_real_taps(&p->resize, axis, i, in, out, tap);
            tap[0].offset *= stride[axis];
            tap[1].offset *= stride[axis];
        }
    }
}

static void prepare(const ingot_call *call) {
    const ingot_resize_s8_params *p = call->params;
    resize_state *state = call->state;
    ingot_resize_prepare(call);
    if (call->out[0].count == 0) {
        return;
    }
    if (p->model == INGOT_S8_MODEL_LINEAR) {
        prepare_real(call, state);
        return;
    }
    for (uint32_t axis = 0; axis <= state->row_axis; axis++) {
        resize_tap *tap = state->tap + state->first[axis];
        for (int64_t i = 0; state->taps[axis] == 2 && i < call->out[0].dims[axis]; i++, tap += 2) {
            resize_whole_weights(tap);
        }
    }
}

/* Blocks of the row may reach behind its end. */
static uint64_t scratch_size(const ingot_call *call) {
    return ingot_resize_scratch_size(call) + INGOT_S8_SUMS * sizeof(int32_t);
}

typedef struct row_target {
    const resize_s8_steps *steps;
    const ingot_requantize *result;
    const ingot_arg *out;
    int32_t offset;
} row_target;

/* Runs of one element: the loop goes along the row instead. */
static void single_row(const row_target *to, int64_t at, const int32_t *from, const resize_tap *tap, int64_t taps,
                       int64_t width) {
    int32_t sum[INGOT_S8_GROUP];
    for (int64_t x = 0; x < width; x += INGOT_S8_GROUP) {
        const int64_t n = width - x < INGOT_S8_GROUP ? width - x : INGOT_S8_GROUP;
        for (int64_t j = 0; j < n; j++, tap += taps) {
            const int32_t right = taps > 1 ? (int32_t)tap[1].weight : 0;
            sum[j] = (int32_t)tap[0].weight * from[tap[0].offset] + right * from[tap[taps - 1].offset];
        }
        to->steps->store(to->result, to->out, at + x, sum, to->offset, n);
    }
}

/* Short runs that lie side by side are stored together. */
static void row_of_runs(const row_target *to, int64_t at, int64_t to_step, const int32_t *from, const resize_tap *tap,
                        int64_t taps, int64_t width, int64_t run) {
    int32_t sum[INGOT_S8_GROUP + INGOT_S8_SUMS];
    int64_t held = 0;
    for (int64_t x = 0; x < width; x++, tap += taps) {
        const int32_t weights[2] = {(int32_t)tap[0].weight, taps > 1 ? (int32_t)tap[1].weight : 0};
        for (int64_t i = 0; i < run; i += INGOT_S8_GROUP) {
            const int64_t n = run - i < INGOT_S8_GROUP ? run - i : INGOT_S8_GROUP;
            to->steps->blend(sum + held, from + tap[0].offset + i, from + tap[taps - 1].offset + i, weights, n);
            held += n;
            if (held + run > INGOT_S8_GROUP || to_step != run || x + 1 == width) {
                to->steps->store(to->result, to->out, at + x * to_step + i + n - held, sum, to->offset, held);
                held = 0;
            }
        }
    }
}

/* A row of the result in binary32, from two rows of the input. */
static void real_row(const ingot_resize_s8_params *p, const resize_s8_steps *steps, const float *const row[2],
                     const double row_weight[2], const resize_tap *tap, int64_t width, int64_t run, int64_t to_step,
                     int8_t *to) {
    const ingot_linear_s8 linear = ingot_s8_linear(&p->scales, p->model);
    float reals[INGOT_S8_GROUP];
    int64_t held = 0;
    for (int64_t x = 0; x < width; x++, tap += 2) {
        const float left = (float)tap[0].weight, right = (float)tap[1].weight;
        const float above = (float)row_weight[0], below = (float)row_weight[1];
        const float weight[4] = {left * above, right * above, left * below, right * below};
        for (int64_t i = 0; i < run; i += INGOT_S8_GROUP) {
            const int64_t n = run - i < INGOT_S8_GROUP ? run - i : INGOT_S8_GROUP;
            const float *const corner[4] = {row[0] + tap[0].offset + i, row[0] + tap[1].offset + i,
                                            row[1] + tap[0].offset + i, row[1] + tap[1].offset + i};
            steps->corners(reals + held, corner, weight, n);
            held += n;
            if (held + run > INGOT_S8_GROUP || to_step != run || x + 1 == width) {
                steps->store_real(&linear, to + x * to_step + i + n - held, reals, held);
                held = 0;
            }
        }
    }
}

/* In two steps, like resize: rows are mixed, and the result is interpolated along the row. */
int ingot_resize_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                        const resize_s8_steps *steps) {
    const ingot_resize_s8_params *p = call->params;
    const resize_state *state = call->state;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    const uint32_t all = resize_units(call, state), axis = state->row_axis;
    const int64_t width = out->dims[axis], run = state->run, in_row = in->dims[axis] * run;
    int64_t to_step = run, row_step = width * run;
    if (axis + 1U == out->rank) {
        row_step = out->pitch;
    } else if (axis + 2U == out->rank) {
        to_step = out->pitch;
        row_step = width * out->pitch;
    }
    int32_t one = 1; /* the sum of the weights */
    for (uint32_t axes = p->resize.axes; axes != 0; axes &= axes - 1) one *= 1 << INGOT_RESIZE_S8_BITS;
    const ingot_requantize result = ingot_s8_result(&p->scales, ingot_s8_multiplier(&p->scales, (double)one));
    const row_target to = {steps, &result, out, one * p->scales.input_zero};
    resize_tap *mixed = scratch;
    int32_t *mixed_row = (int32_t *)(void *)(mixed + state->mixed_max);
    const int64_t last = ingot_unit_begin(state->rows, all, end);
    for (int64_t row = ingot_unit_begin(state->rows, all, begin); row < last; row++) {
        const int64_t count = resize_rows_to_mix(call, state, row, mixed);
        if (p->model == INGOT_S8_MODEL_LINEAR) {
            float *const above = (float *)(void *)(mixed + state->mixed_max), *const below = above + in_row;
            const int8_t *x = in->data;
            steps->dequantise(above, x + mixed[0].offset, in_row, p->scales.input_zero, (float)p->scales.input_scale);
            steps->dequantise(below, x + mixed[1].offset, in_row, p->scales.input_zero, (float)p->scales.input_scale);
            real_row(p, steps, (const float *const[2]){above, below},
                     (const double[2]){mixed[0].weight, mixed[1].weight}, state->tap + state->first[axis], width, run,
                     to_step, (int8_t *)out->data + row * row_step);
            continue;
        }
        steps->mix(mixed_row, in->data, mixed, count, in_row);
        const resize_tap *tap = state->tap + state->first[axis];
        const int64_t taps = state->taps[axis], at = row * row_step;
        if (run == 1 && to_step == 1) {
            single_row(&to, at, mixed_row, tap, taps, width);
        } else {
            row_of_runs(&to, at, to_step, mixed_row, tap, taps, width, run);
        }
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_resize_s8 = {
    .params_size = sizeof(ingot_resize_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = ingot_resize_units,
    .state_size = ingot_resize_state_size,
    .prepare = prepare,
    .scratch_size = scratch_size,
};
