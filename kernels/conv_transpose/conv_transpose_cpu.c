/* conv_transpose_f32_n16: transposed convolution as a gather; see conv_transpose_plan.h for the order of the taps.
 *
 * weights: [groups x ceil(O / groups / 16)][taps][C / groups][16]. */
#include "conv_transpose_f32.h"
#include "conv_transpose_plan.h"
#include "integers.h"

#include <string.h>

static void plan_make(const ingot_call *call, ingot_deconv_plan *plan) {
    ingot_deconv_plan_make(call, sizeof(float), INGOT_GEMM_GROUP, plan);
}

static const char *deconv_check(const ingot_call *call) {
    const ingot_arg *w = &call->in[INGOT_DECONV_W];
    ingot_deconv_shape s;
    if (w->dtype != INGOT_F32 || w->rank != 4 || w->count < 1 || w->pitch != INGOT_GEMM_NR ||
        w->dims[3] != INGOT_GEMM_NR) {
        return "conv_transpose: weights";
    }
    const char *reason = ingot_deconv_check(call, INGOT_F32, w->dims[1]);
    if (reason != NULL) {
        return reason;
    }
    ingot_deconv_shape_read(call, &s);
    if (w->dims[0] % s.groups != 0 || w->dims[0] / s.groups != (s.group_out + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR ||
        w->dims[2] != s.group_in) {
        return "conv_transpose: weights";
    }
    return call->out[0].count > UINT32_MAX ? "conv_transpose: too many work units" : NULL;
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

static uint64_t deconv_scratch_size(const ingot_call *call) {
    ingot_deconv_plan plan;
    plan_make(call, &plan);
    return ingot_deconv_plan_scratch_size(&plan);
}

int ingot_conv_transpose_f32_n16_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                                     const ingot_gemm_f32_isa *isa) {
    const ingot_deconv_plan *plan = call->state;
    const ingot_deconv_shape *s = &plan->shape;
    const ingot_conv_transpose_params *params = call->params;
    const ingot_arg *residual = &call->in[INGOT_DECONV_RESIDUAL];
    const float *weights = call->in[INGOT_DECONV_W].data;
    float *out_rows[INGOT_GEMM_MR];
    const float *residual_rows[INGOT_GEMM_MR];
    ingot_deconv_unit pointed = {-1, -1, -1};
    ingot_deconv_tile at = {0};

    ingot_gemm_f32 tile = {.out = out_rows, .bias = call->in[INGOT_DECONV_BIAS].data, .length = s->group_in};
    tile.residual = residual->data != NULL ? residual_rows : NULL;
    tile.panel_stride = s->taps * s->group_in * INGOT_GEMM_NR;
    ingot_gemm_f32_activation(&tile, &params->activation);
    for (uint32_t index = begin; index < end; index++) {
        const ingot_deconv_unit unit = ingot_deconv_unit_at(plan, index);
        if (unit.tile != pointed.tile || unit.group != pointed.group) {
            ingot_deconv_point(plan, call->in[INGOT_DECONV_X].data, unit.tile, unit.group, scratch, &at);
            for (int64_t r = 0; r < at.count; r++) {
                const int64_t pixel = at.pixel + r * at.step;
                out_rows[r] = (float *)call->out[0].data + pixel * s->out_pitch;
                if (residual->data != NULL) {
                    residual_rows[r] = (const float *)residual->data + pixel * residual->pitch;
                }
            }
            tile.rows = at.rows;
            tile.taps = at.taps;
            tile.mr = (int32_t)at.count;
            pointed = unit;
        }
        tile.column = unit.group * s->group_out + unit.panel * INGOT_GEMM_NR;
        tile.columns = ingot_min64(s->group_out - unit.panel * INGOT_GEMM_NR, INGOT_GEMM_GROUP * INGOT_GEMM_NR);
        tile.weights = weights + (unit.group * plan->panels + unit.panel) * tile.panel_stride +
                       at.first_tap * s->group_in * INGOT_GEMM_NR;
        isa->tile(&tile);
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(conv_transpose_f32_n16) {
    return ingot_conv_transpose_f32_n16_run(call, begin, end, scratch, &ingot_gemm_f32__portable);
}

const ingot_family ingot_family_conv_transpose_f32_n16 = {
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
