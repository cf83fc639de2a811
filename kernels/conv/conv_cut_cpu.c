/* conv_f32_n16_cut: conv_f32_n16 with tiles and work units of the builder's choice. Sums may be rounded otherwise:
 * tiles of few rows have several accumulators a result. */
#include "conv_f32.h"
#include "conv_indirect.h"

#include <string.h>

static const char *cut_check(const ingot_call *call) {
    const ingot_conv_cut_params *p = call->params;
    const ingot_arg *out = &call->out[0];
    const char *reason = ingot_family_conv_f32_n16.check(call);
    if (reason != NULL) {
        return reason;
    }
    if (!ingot_gemm_cut_valid(&p->cut)) {
        return "conv: tiles";
    }
    const int64_t pixels = out->count / out->dims[out->rank - 1];
    return pixels > UINT32_MAX / call->in[INGOT_CONV_W].dims[0] ? "conv: too many work units" : NULL;
}

static void plan_make(const ingot_call *call, ingot_conv_plan *plan) {
    const ingot_conv_cut_params *p = call->params;
    ingot_conv_plan_make(call, sizeof(float), 1, 0, plan);
    ingot_conv_plan_cut(plan, p->cut.rows, p->cut.slice, p->cut.tile_major);
}

static uint32_t cut_units(const ingot_call *call) {
    ingot_conv_plan plan;
    plan_make(call, &plan);
    return ingot_conv_plan_units(&plan);
}

static uint64_t cut_state_size(const ingot_call *call) {
    ingot_conv_plan plan;
    plan_make(call, &plan);
    return ingot_conv_plan_state_size(&plan);
}

static void cut_prepare(const ingot_call *call) {
    ingot_conv_plan *plan = call->state;
    plan_make(call, plan);
    memset(plan->padding, plan->fill, (size_t)plan->padding_bytes);
}

static uint64_t cut_scratch_size(const ingot_call *call) {
    ingot_conv_plan plan;
    plan_make(call, &plan);
    return ingot_conv_plan_scratch_size(&plan);
}

INGOT_KERNEL_FN(conv_f32_n16_cut) {
    return ingot_conv_f32_n16_run(call, begin, end, scratch, &ingot_gemm_f32__portable);
}

const ingot_family ingot_family_conv_f32_n16_cut = {
    .params_size = sizeof(ingot_conv_cut_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = cut_check,
    .units = cut_units,
    .state_size = cut_state_size,
    .prepare = cut_prepare,
    .scratch_size = cut_scratch_size,
};
