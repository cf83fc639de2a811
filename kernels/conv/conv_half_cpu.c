/* conv_f16_n16, conv_bf16_n16k2: indirect convolution of what is stored in half.
 *
 * weights: [groups x ceil(O / groups / 16)][ceil(taps x C / groups / 2)][32], see gemm_half.h; products in the order
 * [taps][C / groups]. x, the residual and the result are of the type of the weights or float32. */
#include "conv_half.h"
#include "conv_indirect.h"

static const char *conv_check(const ingot_call *call) {
    const ingot_arg *w = &call->in[INGOT_CONV_W], *x = &call->in[INGOT_CONV_X];
    const ingot_conv_params *p = call->params;
    ingot_conv_shape s;
    const char *reason = ingot_half_types_check(call);
    if (reason == NULL) {
        reason =
            ingot_conv_types_check(call, x->dtype, call->out[0].dtype, call->in[INGOT_CONV_RESIDUAL].dtype, INGOT_F32);
    }
    if (reason != NULL) {
        return reason;
    }
    if (w->rank != 3 || w->count < 1 || w->pitch != INGOT_HALF_BLOCK || w->dims[2] != INGOT_HALF_BLOCK) {
        return "conv: weights";
    }
    reason = ingot_conv_shape_check(call, ingot_conv_count_taps(p, w->count), &s);
    if (reason != NULL) {
        return reason;
    }
    const int64_t panels = (s.group_out + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR;
    if (w->dims[0] % s.groups != 0 || w->dims[0] / s.groups != panels || s.group_in > w->count ||
        s.taps > w->count / s.group_in || ingot_half_steps(s.taps * s.group_in) != w->dims[1]) {
        return "conv: weights";
    }
    return ingot_conv_units_fit(call, w->dims[0]) ? NULL : "conv: too many work units";
}

/* Units are cut by what weights take once they are float32. */
static void plan_make(const ingot_call *call, ingot_conv_plan *plan) {
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_plan_make(call, ingot_half_size(call->in[INGOT_CONV_X].dtype), 1, 0, plan);
    if (plan->pixels > 1) {
        plan->slice_panels = ingot_gemm_slice(plan->panels, w->dims[1] * INGOT_HALF_BLOCK * (int64_t)sizeof(float));
    }
    plan->group_slices = (plan->panels + plan->slice_panels - 1) / plan->slice_panels;
    plan->slices = plan->group_slices * plan->shape.groups;
    plan->tile_major = w->count * (int64_t)sizeof(float) <= INGOT_GEMM_CACHED;
}

static ingot_half_cut make_cut(const ingot_conv_plan *plan) {
    return (ingot_half_cut){
        .depth = plan->shape.taps * plan->shape.group_in,
        .run = plan->shape.group_in * (plan->merge == INGOT_CONV_MERGE_ALL ? plan->shape.kernel[2] : 1),
        .slice_panels = plan->slice_panels,
        .slices = plan->slices,
        .keeps = plan->tile_major,
        .few_rows = plan->pixels <= INGOT_HALF_FEW,
    };
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

/* Pointers and patches come first. */
static uint64_t pointers_size(const ingot_conv_plan *plan) {
    return (ingot_conv_plan_scratch_size(plan) + 63) / 64 * 64;
}

static uint64_t conv_scratch_size(const ingot_call *call) {
    ingot_conv_plan plan;
    plan_make(call, &plan);
    const ingot_half_cut cut = make_cut(&plan);
    return pointers_size(&plan) + ingot_half_scratch_size(&cut);
}

int ingot_conv_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, const ingot_half_isa *isa,
                        const ingot_bf16_dot *dot) {
    const ingot_conv_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_conv_params *params = call->params;
    const ingot_half_cut cut = make_cut(plan);
    int64_t pointed_tile = -1, pointed_group = -1;
    ingot_half_call half;
    if (begin >= end) {
        return INGOT_KERNEL_OK;
    }
    ingot_half_begin(&half, isa, dot, call, &params->activation, &cut, (char *)scratch + pointers_size(plan));
    ingot_conv_unit unit = ingot_conv_unit_at(plan, begin);
    for (uint32_t i = begin; i < end; i++, ingot_conv_unit_next(plan, &unit)) {
        if (unit.tile != pointed_tile || unit.group != pointed_group) {
            ingot_conv_tile at;
            ingot_conv_point(plan, call->in[INGOT_CONV_X].data, unit.tile, unit.group, scratch, &at);
            ingot_half_point(&half, at.rows, at.taps, at.length, at.count);
            ingot_half_place(&half, call, at.pixel, 1, at.count);
            pointed_tile = unit.tile;
            pointed_group = unit.group;
        }
        const int64_t panel = unit.slice * plan->slice_panels;
        const int64_t left = s->group_out - panel * INGOT_GEMM_NR, wide = plan->slice_panels * INGOT_GEMM_NR;
        ingot_half_slice(&half, unit.group * plan->group_slices + unit.slice, unit.group * plan->panels + panel,
                         unit.group * s->group_out + panel * INGOT_GEMM_NR, left < wide ? left : wide);
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(conv_f16_n16) { return ingot_conv_half_run(call, begin, end, scratch, &ingot_half__portable, NULL); }

INGOT_KERNEL_FN(conv_bf16_n16k2) { return ingot_conv_half_run(call, begin, end, scratch, &ingot_half__portable, NULL); }

const ingot_family ingot_family_conv_half = {
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
