/* conv_s8_n16k4: INT8 convolution, exact on every instruction set. Sums are 32-bit integers; then, in binary32,
 * fma(sum, scale, bias), the residual by fma, the activation's clamp, and requantisation. */
#include "conv_s8.h"

/* More products than this could leave int32 when every operand is as large as it can be: 255 * 128 * n < 2^31. */
enum { MOST_PRODUCTS = 65793 };

static const char *vector_check(const ingot_arg *arg, uint8_t dtype, int64_t count) {
    return arg->dtype == dtype && arg->rank == 1 && arg->dims[0] == count ? NULL : "conv: sums or scale";
}

static const char *conv_check(const ingot_call *call) {
    const ingot_conv_s8_params *p = call->params;
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape s;
    const char *reason = ingot_conv_operands_check(call, INGOT_I8, INGOT_F32);
    if (reason != NULL) {
        return reason;
    }
    if (w->dtype != INGOT_I8 || w->rank != 4 || w->count < 1 || w->pitch != INGOT_S8_BLOCK ||
        w->dims[3] != INGOT_S8_BLOCK) {
        return "conv: weights";
    }
    reason = ingot_conv_shape_check(call, w->dims[1], &s);
    if (reason == NULL) {
        reason = vector_check(&call->in[INGOT_CONV_SUMS], INGOT_I32, s.out_channels);
    }
    if (reason == NULL) {
        reason = vector_check(&call->in[INGOT_CONV_SCALE], INGOT_F32, s.out_channels);
    }
    if (reason != NULL) {
        return reason;
    }
    const int64_t panels = (s.group_out + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR;
    if (w->dims[0] % s.groups != 0 || w->dims[0] / s.groups != panels ||
        w->dims[2] != (s.group_in + INGOT_S8_STEP - 1) / INGOT_S8_STEP) {
        return "conv: weights";
    }
    if (s.taps > MOST_PRODUCTS / s.group_in) {
        return "conv: sums may overflow";
    }
    if (p->conv.activation.kind > INGOT_ACT_CLIP || p->input_zero < -128 || p->input_zero > 127 ||
        p->output_zero < -128 || p->output_zero > 127 || p->residual_zero < -128 || p->residual_zero > 127 ||
        (p->output_min != -128 && p->output_min != -127)) {
        return "conv: quantisation";
    }
    return ingot_conv_units_fit(call, w->dims[0]) ? NULL : "conv: too many work units";
}

static void plan_make(const ingot_call *call, ingot_conv_plan *plan) {
    const ingot_conv_s8_params *p = call->params;
    ingot_conv_plan_make(call, 1, INGOT_S8_STEP, (uint8_t)p->input_zero, plan);
}

static uint32_t conv_units(const ingot_call *call) {
    ingot_conv_plan plan;
    plan_make(call, &plan);
    return ingot_conv_plan_units(&plan);
}

static uint64_t conv_state_size(const ingot_call *call) {
    ingot_conv_plan plan;
    plan_make(call, &plan);
    return ingot_conv_plan_state_size(&plan);
}

static void conv_prepare(const ingot_call *call) {
    ingot_conv_plan *plan = call->state;
    plan_make(call, plan);
    memset(plan->padding, plan->fill, (size_t)plan->padding_bytes);
}

static uint64_t conv_scratch_size(const ingot_call *call) {
    ingot_conv_plan plan;
    plan_make(call, &plan);
    return ingot_conv_plan_scratch_size(&plan);
}

static void describe(const ingot_conv_s8_params *p, ingot_conv_s8_tile *tile) {
    ingot_requantize *q = &tile->requantize;
    const ingot_activation *activation = &p->conv.activation;
    q->lo = activation->kind == INGOT_ACT_RELU   ? 0.0f
            : activation->kind == INGOT_ACT_CLIP ? activation->alpha
                                                 : -__builtin_inff();
    q->hi = activation->kind == INGOT_ACT_CLIP ? activation->beta : __builtin_inff();
    q->inverse_scale = p->inverse_scale;
    q->min = (float)(p->output_min - p->output_zero);
    q->max = (float)(127 - p->output_zero);
    q->zero = p->output_zero;
    tile->residual_scale = p->residual_scale;
    tile->residual_zero = p->residual_zero;
    tile->input_zero = p->input_zero;
}

int ingot_conv_s8_n16k4_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                            ingot_conv_s8_fn compute) {
    const ingot_conv_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_arg *residual = &call->in[INGOT_CONV_RESIDUAL], *w = &call->in[INGOT_CONV_W];
    const float *bias = call->in[INGOT_CONV_BIAS].data;
    const int64_t panel_stride = w->dims[1] * w->dims[2] * INGOT_S8_BLOCK;
    int8_t *out_rows[INGOT_GEMM_MR];
    const int8_t *residual_rows[INGOT_GEMM_MR];
    int64_t pointed_tile = -1, pointed_group = -1;

    ingot_conv_s8_tile tile = {.out = out_rows};
    tile.residual = residual->data != NULL ? residual_rows : NULL;
    describe(call->params, &tile);
    if (begin >= end) {
        return INGOT_KERNEL_OK;
    }
    ingot_conv_unit unit = ingot_conv_unit_at(plan, begin);
    for (uint32_t i = begin; i < end; i++, ingot_conv_unit_next(plan, &unit)) {
        const int64_t index = unit.tile, group = unit.group, first = unit.slice * plan->slice_panels;
        const int64_t last = first + plan->slice_panels < plan->panels ? first + plan->slice_panels : plan->panels;
        if (index != pointed_tile || group != pointed_group) {
            ingot_conv_point(plan, call->in[INGOT_CONV_X].data, index, group, scratch, &tile.at);
            pointed_tile = index;
            pointed_group = group;
        }
        for (int64_t panel = first; panel < last; panel++) {
            const int64_t column = group * s->group_out + panel * INGOT_GEMM_NR;
            const int64_t left = s->group_out - panel * INGOT_GEMM_NR;
            for (int64_t r = 0; r < tile.at.count; r++) {
                out_rows[r] = (int8_t *)call->out[0].data + (tile.at.pixel + r) * s->out_pitch + column;
                if (residual->data != NULL) {
                    residual_rows[r] = (const int8_t *)residual->data + (tile.at.pixel + r) * residual->pitch + column;
                }
            }
            tile.columns = left < INGOT_GEMM_NR ? left : INGOT_GEMM_NR;
            tile.weights = (const int8_t *)w->data + (group * plan->panels + panel) * panel_stride;
            tile.sums = (const int32_t *)call->in[INGOT_CONV_SUMS].data + column;
            tile.scale = (const float *)call->in[INGOT_CONV_SCALE].data + column;
            tile.bias = bias != NULL ? bias + column : NULL;
            compute(&tile);
        }
    }
    return INGOT_KERNEL_OK;
}

/* Sums wrap around as unsigned integers do; a checked shape and true row sums never let them. */
static void compute_row(const ingot_conv_s8_tile *t, int64_t row) {
    uint32_t sum[INGOT_GEMM_NR] = {0};
    const int64_t steps = (t->at.length + INGOT_S8_STEP - 1) / INGOT_S8_STEP;
    for (int64_t tap = 0; tap < t->at.taps; tap++) {
        const int8_t *x = t->at.rows[tap * INGOT_GEMM_MR + row];
        const int8_t *w = t->weights + tap * steps * INGOT_S8_BLOCK;
        for (int64_t k = 0; k < t->at.length; k++) {
            const int8_t *column = w + k / INGOT_S8_STEP * INGOT_S8_BLOCK + k % INGOT_S8_STEP;
            for (int j = 0; j < INGOT_GEMM_NR; j++) {
                sum[j] += (uint32_t)(x[k] * column[j * INGOT_S8_STEP]);
            }
        }
    }
    for (int64_t j = 0; j < t->columns; j++) {
        const int32_t exact = (int32_t)(sum[j] - (uint32_t)t->input_zero * (uint32_t)t->sums[j]);
        float y = ingot_fma_f32((float)exact, t->scale[j], t->bias != NULL ? t->bias[j] : 0.0f);
        if (t->residual != NULL) {
            y = ingot_fma_f32((float)(t->residual[row][j] - t->residual_zero), t->residual_scale, y);
        }
        t->out[row][j] = ingot_requantize_s8(&t->requantize, y);
    }
}

static void compute(const ingot_conv_s8_tile *t) {
    for (int64_t row = 0; row < t->at.count; row++) {
        compute_row(t, row);
    }
}

INGOT_KERNEL_FN(conv_s8_n16k4) { return ingot_conv_s8_n16k4_run(call, begin, end, scratch, compute); }

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
