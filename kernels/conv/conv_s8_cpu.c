/* conv_s8_n16k4: INT8 convolution, exact on every instruction set; conv_s8_dw: of which each channel is a group. */
#include "conv_s8.h"

/* Types and numbers that both have in common. */
static const char *operands_check(const ingot_call *call) {
    const ingot_conv_s8_params *p = call->params;
    const ingot_arg *out = &call->out[0];
    const uint8_t bias = ingot_s8_bias_type(&call->in[INGOT_CONV_BIAS]);
    const char *reason = ingot_conv_types_check(call, INGOT_I8, out->dtype, INGOT_I8, bias);
    if (reason != NULL) {
        return reason;
    }
    if (call->in[INGOT_CONV_W].dtype != INGOT_I8 || (out->dtype != INGOT_I8 && out->dtype != INGOT_F32)) {
        return "conv: element type";
    }
    const int64_t channels = out->dims[out->rank - 1];
    if (!ingot_s8_vector_valid(&call->in[INGOT_CONV_SUMS], INGOT_I32, channels) ||
        !ingot_s8_vector_valid(&call->in[INGOT_CONV_SCALE], INGOT_F32, channels)) {
        return "conv: sums or scale";
    }
    return ingot_s8_numbers_valid(&p->numbers, &p->conv.activation) ? NULL : "conv: quantisation";
}

static const char *conv_check(const ingot_call *call) {
    const ingot_conv_s8_params *p = call->params;
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape s;
    const char *reason = operands_check(call);
    if (reason != NULL) {
        return reason;
    }
    if (w->rank != 3 || w->count < 1 || w->pitch != INGOT_S8_BLOCK || w->dims[2] != INGOT_S8_BLOCK) {
        return "conv: weights";
    }
    reason = ingot_conv_shape_check_from(call, ingot_conv_count_taps(&p->conv, w->count), 0, &s);
    if (reason != NULL) {
        return reason;
    }
    const int64_t panels = (s.group_out + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR, steps = w->dims[1];
    if (w->dims[0] % s.groups != 0 || w->dims[0] / s.groups != panels || s.group_in > w->count ||
        s.taps > w->count / s.group_in || ingot_s8_padded(s.taps * s.group_in) != steps * INGOT_S8_STEP) {
        return "conv: weights";
    }
    return ingot_conv_units_fit(call, w->dims[0]) ? NULL : "conv: too many work units";
}

/* Channels that do not come in fours are brought side by side for a whole window. */
static int is_gathered(const ingot_conv_plan *plan) { return plan->shape.group_in % INGOT_S8_STEP != 0; }

static void conv_plan_make(const ingot_call *call, ingot_conv_plan *plan) {
    const ingot_conv_s8_params *p = call->params;
    ingot_conv_plan_make(call, 1, 1, (uint8_t)p->numbers.input_zero, plan);
}

static uint32_t conv_units(const ingot_call *call) {
    ingot_conv_plan plan;
    conv_plan_make(call, &plan);
    return ingot_conv_plan_units(&plan);
}

/* Behind the plan and its padding stands for each panel whether it has weights in other parts than the first. */
static uint64_t conv_state_size(const ingot_call *call) {
    ingot_conv_plan plan;
    conv_plan_make(call, &plan);
    return ingot_conv_plan_state_size(&plan) + (uint64_t)call->in[INGOT_CONV_W].dims[0];
}

static uint8_t *panel_flags(ingot_conv_plan *plan) { return plan->padding + plan->padding_bytes; }

/* Parts of the weights, which are taps that read the same pixel; the first axis goes through them. */
static int64_t count_parts(const ingot_conv_plan *plan) {
    return plan->shape.dilation[0] == 0 ? plan->shape.kernel[0] : 1;
}

/* Steps of the first part. */
static int64_t first_steps(const ingot_conv_plan *plan) {
    return ingot_s8_padded(plan->shape.taps / count_parts(plan) * plan->shape.group_in) / INGOT_S8_STEP;
}

static void conv_prepare(const ingot_call *call) {
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_plan *plan = call->state;
    conv_plan_make(call, plan);
    memset(plan->padding, plan->fill, (size_t)plan->padding_bytes);
    memset(panel_flags(plan), 1, (size_t)w->dims[0]);
    if (count_parts(plan) == 1 || w->data == NULL) {
        return;
    }
    const int8_t *panel = w->data;
    for (int64_t p = 0; p < w->dims[0]; p++, panel += w->dims[1] * INGOT_S8_BLOCK) {
        uint8_t any = 0;
        for (int64_t i = first_steps(plan) * INGOT_S8_BLOCK; i < w->dims[1] * INGOT_S8_BLOCK; i++) {
            any |= (uint8_t)panel[i];
        }
        panel_flags(plan)[p] = any != 0;
    }
}

static uint64_t conv_scratch_size(const ingot_call *call) {
    ingot_conv_plan plan;
    conv_plan_make(call, &plan);
    const int64_t window = ingot_s8_padded(plan.shape.taps * plan.shape.group_in);
    return ingot_conv_plan_scratch_size(&plan) + (is_gathered(&plan) ? (uint64_t)window * INGOT_GEMM_MR : 0);
}

/* Writes out the windows of a tile, one after the other, and points at them. */
static void gather(const ingot_conv_tile *at, int8_t *to, const void **windows) {
    for (int64_t r = 0; r < at->count; r++) {
        int8_t *end = to;
        for (int64_t tap = 0; tap < at->taps; tap++) {
            end = ingot_s8_copy(end, at->rows[tap * INGOT_GEMM_MR + r], at->length);
        }
        windows[r] = to;
        for (to += ingot_s8_padded(end - to); end < to; end++) {
            *end = 0;
        }
    }
}

/* What a call's tiles have in common, and where their rows of the result lie. */
typedef struct conv_rows {
    void *out[INGOT_GEMM_MR];
    const int8_t *residual[INGOT_GEMM_MR];
} conv_rows;

static void tile_begin(const ingot_call *call, conv_rows *rows, ingot_gemm_s8 *tile) {
    const ingot_conv_s8_params *p = call->params;
    tile->out = rows->out;
    tile->residual = call->in[INGOT_CONV_RESIDUAL].data != NULL ? rows->residual : NULL;
    tile->sums = call->in[INGOT_CONV_SUMS].data;
    tile->scale = call->in[INGOT_CONV_SCALE].data;
    ingot_gemm_s8_set_bias(&call->in[INGOT_CONV_BIAS], tile);
    ingot_gemm_s8_describe(&p->numbers, &p->conv.activation, &call->out[0], tile);
}

static void tile_point(const ingot_call *call, const ingot_conv_tile *at, conv_rows *rows, ingot_gemm_s8 *tile) {
    const ingot_arg *out = &call->out[0], *residual = &call->in[INGOT_CONV_RESIDUAL];
    const int64_t element = tile->float_out ? (int64_t)sizeof(float) : 1;
    for (int64_t r = 0; r < at->count; r++) {
        rows->out[r] = (char *)out->data + (at->pixel + r) * out->pitch * element;
        if (residual->data != NULL) {
            rows->residual[r] = (const int8_t *)residual->data + (at->pixel + r) * residual->pitch;
        }
    }
    tile->mr = (int32_t)at->count;
}

int ingot_conv_s8_n16k4_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, ingot_gemm_s8_fn fn) {
    const ingot_conv_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    const void *windows[INGOT_GEMM_MR];
    int8_t *gathered = (int8_t *)scratch + ingot_conv_plan_scratch_size(plan);
    conv_rows rows;
    int64_t pointed_tile = -1, pointed_group = -1;
    if (begin >= end) {
        return INGOT_KERNEL_OK;
    }
    const uint8_t *flags = panel_flags(call->state);
    const int64_t parts = count_parts(plan);
    ingot_gemm_s8 tile = {.panel_stride = w->dims[1] * INGOT_S8_BLOCK};
    tile_begin(call, &rows, &tile);
    ingot_conv_unit unit = ingot_conv_unit_at(plan, begin);
    for (uint32_t i = begin; i < end; i++, ingot_conv_unit_next(plan, &unit)) {
        if (unit.tile != pointed_tile || unit.group != pointed_group) {
            ingot_conv_tile at;
            ingot_conv_point(plan, call->in[INGOT_CONV_X].data, unit.tile, unit.group, scratch, &at);
            tile_point(call, &at, &rows, &tile);
            tile.rows = at.rows;
            tile.taps = at.taps;
            tile.steps = at.length / INGOT_S8_STEP;
            if (is_gathered(plan)) {
                gather(&at, gathered, windows);
                tile.rows = windows;
                tile.taps = 1;
                tile.steps = w->dims[1];
            }
            pointed_tile = unit.tile;
            pointed_group = unit.group;
        }
        const int64_t end_panel = (unit.slice + 1) * plan->slice_panels;
        const int64_t last = end_panel < plan->panels ? end_panel : plan->panels;
        const int64_t taps = tile.taps, steps = tile.steps, group = unit.group * plan->panels;
        for (int64_t panel = unit.slice * plan->slice_panels, next; panel < last; panel = next) {
            next = panel + 1;
            while (next < last && flags[group + next] == flags[group + panel]) {
                next++;
            }
            const int64_t left = s->group_out - panel * INGOT_GEMM_NR, wide = (next - panel) * INGOT_GEMM_NR;
            if (!flags[group + panel]) { /* the first part is all there is */
                tile.taps = is_gathered(plan) ? 1 : taps / parts;
                tile.steps = is_gathered(plan) ? first_steps(plan) : steps;
            }
            tile.column = unit.group * s->group_out + panel * INGOT_GEMM_NR;
            tile.columns = left < wide ? left : wide;
            tile.weights = (const int8_t *)w->data + (group + panel) * tile.panel_stride;
            fn(&tile);
            tile.taps = taps;
            tile.steps = steps;
        }
    }
    return INGOT_KERNEL_OK;
}

static const char *dw_check(const ingot_call *call) {
    const ingot_conv_s8_params *p = call->params;
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape s;
    const char *reason = operands_check(call);
    if (reason != NULL) {
        return reason;
    }
    if (w->rank != 3 || w->count < 1 || w->pitch != INGOT_S8_LANES_BLOCK || w->dims[2] != INGOT_S8_LANES_BLOCK) {
        return "conv: weights";
    }
    reason = ingot_conv_shape_check_from(call, ingot_conv_count_taps(&p->conv, w->count), 0, &s);
    if (reason != NULL) {
        return reason;
    }
    if (s.groups != s.in_channels || s.groups != s.out_channels) {
        return "conv: not depthwise";
    }
    if (w->dims[0] != (s.in_channels + INGOT_S8_LANES - 1) / INGOT_S8_LANES ||
        w->dims[1] * INGOT_S8_STEP != ingot_s8_padded(s.taps)) {
        return "conv: weights";
    }
    return ingot_conv_units_fit(call, 1) ? NULL : "conv: too many work units";
}

/* The plan of a convolution of one group, whose runs are all channels of one tap. */
static void dw_plan_make(const ingot_call *call, ingot_conv_plan *plan) {
    conv_plan_make(call, plan);
    ingot_conv_shape *s = &plan->shape;
    s->groups = 1;
    s->group_in = s->group_out = s->in_channels;
    plan->merge = INGOT_CONV_MERGE_NONE;
    plan->copy = 0;
    plan->panels = plan->slice_panels = plan->group_slices = plan->slices = 1;
    plan->padding_bytes = s->in_channels;
}

static uint32_t dw_units(const ingot_call *call) {
    ingot_conv_plan plan;
    dw_plan_make(call, &plan);
    return ingot_conv_plan_units(&plan);
}

static uint64_t dw_state_size(const ingot_call *call) {
    ingot_conv_plan plan;
    dw_plan_make(call, &plan);
    return ingot_conv_plan_state_size(&plan);
}

static void dw_prepare(const ingot_call *call) {
    ingot_conv_plan *plan = call->state;
    dw_plan_make(call, plan);
    memset(plan->padding, plan->fill, (size_t)plan->padding_bytes);
}

/* With room for the rows of the taps that make a multiple of four. */
static uint64_t dw_scratch_size(const ingot_call *call) {
    ingot_conv_plan plan;
    dw_plan_make(call, &plan);
    return ingot_conv_plan_scratch_size(&plan) + 3 * INGOT_GEMM_MR * sizeof(void *);
}

int ingot_conv_s8_dw_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, ingot_gemm_s8_fn fn) {
    const ingot_conv_plan *plan = call->state;
    const void **taps = scratch;
    conv_rows rows;
    ingot_gemm_s8 tile = {.rows = scratch, .weights = call->in[INGOT_CONV_W].data};
    tile_begin(call, &rows, &tile);
    tile.taps = ingot_s8_padded(plan->shape.taps);
    tile.columns = plan->shape.in_channels;
    for (uint32_t unit = begin; unit < end; unit++) {
        ingot_conv_tile at;
        ingot_conv_point(plan, call->in[INGOT_CONV_X].data, unit, 0, scratch, &at);
        for (int64_t i = plan->shape.taps * INGOT_GEMM_MR; i < tile.taps * INGOT_GEMM_MR; i++) {
            taps[i] = plan->padding;
        }
        tile_point(call, &at, &rows, &tile);
        fn(&tile);
    }
    return INGOT_KERNEL_OK;
}

INGOT_CONV_S8_KERNELS

const ingot_family ingot_family_conv_s8_n16k4 = {
    .params_size = sizeof(ingot_conv_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 6,
    .in_max = 6,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = conv_check,
    .units = conv_units,
    .state_size = conv_state_size,
    .prepare = conv_prepare,
    .scratch_size = conv_scratch_size,
};

const ingot_family ingot_family_conv_s8_dw = {
    .params_size = sizeof(ingot_conv_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 6,
    .in_max = 6,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = dw_check,
    .units = dw_units,
    .state_size = dw_state_size,
    .prepare = dw_prepare,
    .scratch_size = dw_scratch_size,
};
