/* conv_f32_n16: indirect convolution. The output pixels of an image are the rows of a matrix product whose left
 * operand is never built: each tile of pixels gets, for every tap of the kernel, pointers to where its input pixels
 * lie, or to a row of zeros at the border.
 *
 * weights: [groups x ceil(O / groups / 16)][taps][C / groups][16], a panel padded with zero columns. */
#include "conv_f32.h"
#include "conv_indirect.h"

#include <string.h>

static const char *conv_check(const ingot_call *call) {
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape s;
    const char *reason = ingot_conv_operands_check(call, INGOT_F32, INGOT_F32);
    if (reason != NULL) {
        return reason;
    }
    if (w->dtype != INGOT_F32 || w->rank != 4 || w->count < 1 || w->pitch != INGOT_GEMM_NR ||
        w->dims[3] != INGOT_GEMM_NR) {
        return "conv: weights";
    }
    reason = ingot_conv_shape_check(call, w->dims[1], &s);
    if (reason != NULL) {
        return reason;
    }
    const int64_t panels = (s.group_out + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR;
    if (w->dims[0] % s.groups != 0 || w->dims[0] / s.groups != panels || w->dims[2] != s.group_in) {
        return "conv: weights";
    }
    return ingot_conv_units_fit(call, w->dims[0]) ? NULL : "conv: too many work units";
}

static void plan_make(const ingot_call *call, ingot_conv_plan *plan) {
    ingot_conv_plan_make(call, sizeof(float), 1, 0, plan);
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

int ingot_conv_f32_n16_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const ingot_gemm_f32_isa *isa) {
    const ingot_conv_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_conv_params *params = call->params;
    const ingot_arg *residual = &call->in[INGOT_CONV_RESIDUAL];
    const float *weights = call->in[INGOT_CONV_W].data;
    float *out_rows[INGOT_GEMM_MR];
    const float *residual_rows[INGOT_GEMM_MR];
    int64_t pointed_tile = -1, pointed_group = -1;

    ingot_gemm_f32 tile = {.out = out_rows, .bias = call->in[INGOT_CONV_BIAS].data};
    tile.residual = residual->data != NULL ? residual_rows : NULL;
    tile.panel_stride = s->taps * s->group_in * INGOT_GEMM_NR;
    ingot_gemm_f32_activation(&tile, &params->activation);
    if (begin >= end) {
        return INGOT_KERNEL_OK;
    }
    ingot_conv_unit unit = ingot_conv_unit_at(plan, begin);
    for (uint32_t i = begin; i < end; i++, ingot_conv_unit_next(plan, &unit)) {
        const int64_t index = unit.tile, group = unit.group, panel = unit.slice * plan->slice_panels;
        if (index != pointed_tile || group != pointed_group) {
            ingot_conv_tile at;
            ingot_conv_point(plan, call->in[INGOT_CONV_X].data, index, group, scratch, &at);
            tile.rows = at.rows;
            tile.taps = at.taps;
            tile.length = at.length;
            tile.mr = (int32_t)at.count;
            float *to = (float *)call->out[0].data + at.pixel * s->out_pitch;
            for (int64_t r = 0; r < at.count; r++, to += s->out_pitch) {
                out_rows[r] = to;
            }
            for (int64_t r = 0; r < (residual->data != NULL ? at.count : 0); r++) {
                residual_rows[r] = (const float *)residual->data + (at.pixel + r) * residual->pitch;
            }
            pointed_tile = index;
            pointed_group = group;
        }
        const int64_t left = s->group_out - panel * INGOT_GEMM_NR, wide = plan->slice_panels * INGOT_GEMM_NR;
        tile.column = group * s->group_out + panel * INGOT_GEMM_NR;
        tile.columns = left < wide ? left : wide;
        tile.weights = weights + (group * plan->panels + panel) * tile.panel_stride;
        isa->tile(&tile);
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(conv_f32_n16) { return ingot_conv_f32_n16_run(call, begin, end, scratch, &ingot_gemm_f32__portable); }

const ingot_family ingot_family_conv_f32_n16 = {
    .params_size = sizeof(ingot_conv_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = conv_check,
    .units = conv_units,
    .state_size = conv_state_size,
    .prepare = conv_prepare,
    .scratch_size = conv_scratch_size,
};
