/* conv_f32_dw: depthwise convolution, sixteen channels at a time, registers blocked along the output row.
 *
 * weights: [ceil(C / 16)][taps][16], the last block padded with zeros. */
#include "depthwise.h"

#define DW_PIXELS 2
#include "depthwise_impl.h"

void ingot_dw_plan_make(const ingot_call *call, int64_t taps, ingot_dw_plan *plan) {
    ingot_conv_shape *s = &plan->shape;
    ingot_conv_shape_read(call, s);
    s->taps = taps;
    plan->chunks = (s->out[2] + INGOT_DW_CHUNK - 1) / INGOT_DW_CHUNK;
    const int64_t room = s->in[2] + s->pad[2] - s->dilation[2] * (s->kernel[2] - 1) - 1;
    const int64_t begin = (s->pad[2] + s->stride[2] - 1) / s->stride[2];
    const int64_t end = room < 0 ? 0 : room / s->stride[2] + 1;
    plan->inner_begin = begin < s->out[2] ? begin : s->out[2];
    plan->inner_end = end < s->out[2] ? end : s->out[2];
    if (plan->inner_end < plan->inner_begin) {
        plan->inner_end = plan->inner_begin;
    }
}

static void plan_make(const ingot_call *call, ingot_dw_plan *plan) {
    ingot_dw_plan_make(call, call->in[INGOT_CONV_W].dims[1], plan);
}

static const char *dw_check(const ingot_call *call) {
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape s;
    const char *reason = ingot_conv_operands_check(call, INGOT_F32, INGOT_F32);
    if (reason != NULL) {
        return reason;
    }
    if (w->dtype != INGOT_F32 || w->rank != 3 || w->count < 1 || w->pitch != INGOT_DW_LANES ||
        w->dims[2] != INGOT_DW_LANES) {
        return "conv: weights";
    }
    reason = ingot_conv_shape_check(call, w->dims[1], &s);
    if (reason != NULL) {
        return reason;
    }
    if (s.groups != s.in_channels || s.groups != s.out_channels) {
        return "conv: not depthwise";
    }
    if (w->dims[0] != (s.in_channels + INGOT_DW_LANES - 1) / INGOT_DW_LANES) {
        return "conv: weights";
    }
    if (call->out[0].count / s.out_channels > UINT32_MAX) {
        return "conv: too many work units";
    }
    return NULL;
}

static uint32_t dw_units(const ingot_call *call) {
    ingot_dw_plan plan;
    plan_make(call, &plan);
    return (uint32_t)(plan.shape.batch * plan.shape.out[0] * plan.shape.out[1] * plan.chunks);
}

static uint64_t dw_state_size(const ingot_call *call) {
    (void)call;
    return sizeof(ingot_dw_plan);
}

static void dw_prepare(const ingot_call *call) { plan_make(call, call->state); }

const ingot_family ingot_family_conv_f32_dw = {
    .params_size = sizeof(ingot_conv_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = dw_check,
    .units = dw_units,
    .state_size = dw_state_size,
    .prepare = dw_prepare,
};
