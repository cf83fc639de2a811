/* conv_transpose_f16_n16, conv_transpose_bf16_n16k2: transposed convolution, as a gather, of what is stored in half;
 * see conv_transpose_plan.h for the order of the taps.
 *
 * weights: [groups x ceil(O / groups / 16)][taps x C / groups / 2][32], see gemm_half.h; C / groups is even. x, the
 * residual and the result are of the type of the weights or float32. */
#include "conv_transpose_half.h"
#include "conv_transpose_plan.h"
#include "integers.h"

/* Product of the kernel's extents; a check has found that it fits. */
static int64_t count_taps(const ingot_call *call) {
    const ingot_conv_transpose_params *p = call->params;
    return (int64_t)p->kernel[0] * p->kernel[1] * p->kernel[2];
}

static void plan_make(const ingot_call *call, ingot_deconv_plan *plan) {
    const ingot_arg *w = &call->in[INGOT_DECONV_W];
    ingot_deconv_plan_make(call, ingot_half_size(call->in[INGOT_DECONV_X].dtype), INGOT_GEMM_GROUP, plan);
    plan->shape.taps = count_taps(call);
    plan->tile_major = w->count * (int64_t)sizeof(float) <= INGOT_GEMM_CACHED;
}

static const char *deconv_check(const ingot_call *call) {
    const ingot_conv_transpose_params *p = call->params;
    const ingot_arg *w = &call->in[INGOT_DECONV_W];
    ingot_deconv_shape s;
    const char *reason = ingot_half_types_check(call);
    if (reason != NULL) {
        return reason;
    }
    if (w->rank != 3 || w->count < 1 || w->pitch != INGOT_HALF_BLOCK || w->dims[2] != INGOT_HALF_BLOCK) {
        return "conv_transpose: weights";
    }
    int64_t taps = 1;
    for (int i = 0; i < 3; i++) {
        if (p->kernel[i] < 1 || taps > w->count / p->kernel[i]) {
            return "conv_transpose: kernel and weights";
        }
        taps *= p->kernel[i];
    }
    reason = ingot_deconv_types_check(call, call->in[INGOT_DECONV_X].dtype, call->out[0].dtype,
                                      call->in[INGOT_DECONV_RESIDUAL].dtype, INGOT_F32, taps);
    if (reason != NULL) {
        return reason;
    }
    ingot_deconv_shape_read(call, &s);
    if (w->dims[0] % s.groups != 0 || w->dims[0] / s.groups != (s.group_out + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR ||
        s.group_in % INGOT_HALF_STEP != 0 || s.group_in > w->count ||
        w->dims[1] != taps * (s.group_in / INGOT_HALF_STEP)) {
        return "conv_transpose: weights";
    }
    return call->out[0].count > UINT32_MAX ? "conv_transpose: too many work units" : NULL;
}

static ingot_half_cut make_cut(const ingot_deconv_plan *plan) {
    return (ingot_half_cut){
        .depth = plan->shape.taps * plan->shape.group_in,
        .run = plan->shape.group_in,
        .slice_panels = plan->slice_panels,
        .slices = plan->slices,
        .keeps = plan->tile_major != 0,
    };
}

static uint32_t deconv_units(const ingot_call *call) {
    ingot_deconv_plan plan;
    plan_make(call, &plan);
    return ingot_deconv_plan_units(&plan);
}

static uint64_t deconv_state_size(const ingot_call *call) {
    ingot_deconv_plan plan;
    plan_make(call, &plan);
    return ingot_deconv_plan_state_size(&plan);
}

static void deconv_prepare(const ingot_call *call) {
    ingot_deconv_plan *plan = call->state;
    plan_make(call, plan);
    memset(plan->padding, 0, (size_t)plan->padding_bytes);
}

/* Pointers come first. */
static uint64_t pointers_size(const ingot_deconv_plan *plan) {
    return (ingot_deconv_plan_scratch_size(plan) + 63) / 64 * 64;
}

static uint64_t deconv_scratch_size(const ingot_call *call) {
    ingot_deconv_plan plan;
    plan_make(call, &plan);
    const ingot_half_cut cut = make_cut(&plan);
    return pointers_size(&plan) + ingot_half_scratch_size(&cut);
}

int ingot_conv_transpose_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                                  const ingot_half_isa *isa, const ingot_bf16_dot *dot) {
    const ingot_deconv_plan *plan = call->state;
    const ingot_deconv_shape *s = &plan->shape;
    const ingot_conv_transpose_params *params = call->params;
    const ingot_half_cut cut = make_cut(plan);
    ingot_deconv_unit pointed = {-1, -1, -1};
    ingot_half_call half;
    if (begin >= end) {
        return INGOT_KERNEL_OK;
    }
    ingot_half_begin(&half, isa, dot, call, &params->activation, &cut, (char *)scratch + pointers_size(plan));
    for (uint32_t index = begin; index < end; index++) {
        const ingot_deconv_unit unit = ingot_deconv_unit_at(plan, index);
        if (unit.tile != pointed.tile || unit.group != pointed.group) {
            ingot_deconv_tile at;
            ingot_deconv_point(plan, call->in[INGOT_DECONV_X].data, unit.tile, unit.group, scratch, &at);
            ingot_half_point(&half, at.rows, at.taps, s->group_in, at.count);
            ingot_half_place(&half, call, at.pixel, at.step, at.count);
            half.skip = at.first_tap * s->group_in;
            pointed = unit;
        }
        const int64_t slice = unit.group * plan->group_slices + unit.panel / plan->slice_panels;
        ingot_half_slice(&half, slice, unit.group * plan->panels + unit.panel,
                         unit.group * s->group_out + unit.panel * INGOT_GEMM_NR,
                         ingot_min64(s->group_out - unit.panel * INGOT_GEMM_NR, plan->slice_panels * INGOT_GEMM_NR));
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(conv_transpose_f16_n16) {
    return ingot_conv_transpose_half_run(call, begin, end, scratch, &ingot_half__portable, NULL);
}

INGOT_KERNEL_FN(conv_transpose_bf16_n16k2) {
    return ingot_conv_transpose_half_run(call, begin, end, scratch, &ingot_half__portable, NULL);
}

const ingot_family ingot_family_conv_transpose_half = {
    .params_size = sizeof(ingot_conv_transpose_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_DECONV_RESIDUAL,
    .check = deconv_check,
    .units = deconv_units,
    .state_size = deconv_state_size,
    .prepare = deconv_prepare,
    .scratch_size = deconv_scratch_size,
};
