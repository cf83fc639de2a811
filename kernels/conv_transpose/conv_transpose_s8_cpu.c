/* conv_transpose_s8_n16k4: transposed convolution of int8, exact on every instruction set. */
#include "conv_transpose_s8.h"
#include "conv_transpose_plan.h"
#include "integers.h"

#include <string.h>

enum { SUMS = 4, SCALE = 5 }; /* operands behind those of every transposed convolution */
enum { SLICE_PANELS = 4 };

static const char *deconv_check(const ingot_call *call) {
    const ingot_conv_transpose_s8_params *p = call->params;
    const ingot_arg *w = &call->in[INGOT_DECONV_W], *sums = &call->in[SUMS], *out = &call->out[0];
    ingot_deconv_shape s;
    if (w->dtype != INGOT_I8 || w->rank != 4 || w->count < 1 || w->pitch != INGOT_S8_BLOCK ||
        w->dims[3] != INGOT_S8_BLOCK) {
        return "conv_transpose: weights";
    }
    const uint8_t bias = ingot_s8_bias_type(&call->in[INGOT_DECONV_BIAS]);
    const char *reason = ingot_deconv_types_check(call, INGOT_I8, out->dtype, INGOT_I8, bias, w->dims[1]);
    if (reason != NULL) {
        return reason;
    }
    if (out->dtype != INGOT_I8 && out->dtype != INGOT_F32) {
        return "conv_transpose: element type";
    }
    ingot_deconv_shape_read(call, &s);
    if (w->dims[0] % s.groups != 0 || w->dims[0] / s.groups != (s.group_out + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR ||
        w->dims[2] != (s.group_in + INGOT_S8_STEP - 1) / INGOT_S8_STEP) {
        return "conv_transpose: weights";
    }
    if (sums->dtype != INGOT_I32 || sums->rank != 2 || sums->pitch != s.out_channels ||
        sums->dims[1] != s.out_channels || sums->dims[0] % s.stride[0] != 0 ||
        sums->dims[0] / s.stride[0] % s.stride[1] != 0 || sums->dims[0] / s.stride[0] / s.stride[1] != s.stride[2] ||
        !ingot_s8_vector_valid(&call->in[SCALE], INGOT_F32, s.out_channels)) {
        return "conv_transpose: sums or scale";
    }
    if (!ingot_s8_numbers_valid(&p->numbers, &p->conv.activation)) {
        return "conv_transpose: quantisation";
    }
    return out->count > UINT32_MAX ? "conv_transpose: too many work units" : NULL;
}

static void plan_make(const ingot_call *call, ingot_deconv_plan *plan) {
    ingot_deconv_plan_make(call, 1, SLICE_PANELS, plan);
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
    const ingot_conv_transpose_s8_params *p = call->params;
    ingot_deconv_plan *plan = call->state;
    plan_make(call, plan);
    memset(plan->padding, (uint8_t)p->numbers.input_zero, (size_t)plan->padding_bytes);
}

/* Channels that do not come in fours are copied, padded with zeros. */
static uint64_t copies_size(const ingot_deconv_plan *plan) {
    const int64_t length = plan->shape.group_in;
    const int64_t padded = ingot_s8_padded(length);
    return padded != length ? (uint64_t)(plan->shape.taps * INGOT_GEMM_MR * padded) : 0;
}

static uint64_t deconv_scratch_size(const ingot_call *call) {
    ingot_deconv_plan plan;
    plan_make(call, &plan);
    return ingot_deconv_plan_scratch_size(&plan) + copies_size(&plan);
}

static void copy_runs(const ingot_deconv_tile *at, int64_t length, const void **rows, int8_t *to) {
    for (int64_t tap = 0; tap < at->taps; tap++, rows += INGOT_GEMM_MR) {
        for (int64_t r = 0; r < at->count; r++) {
            int8_t *end = ingot_s8_copy(to, rows[r], length);
            rows[r] = to;
            for (to += ingot_s8_padded(length); end < to; end++) {
                *end = 0;
            }
        }
    }
}

int ingot_conv_transpose_s8_n16k4_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                                      ingot_gemm_s8_fn fn) {
    const ingot_deconv_plan *plan = call->state;
    const ingot_deconv_shape *s = &plan->shape;
    const ingot_conv_transpose_s8_params *p = call->params;
    const ingot_arg *residual = &call->in[INGOT_DECONV_RESIDUAL], *out = &call->out[0];
    const int64_t steps = ingot_s8_padded(s->group_in) / INGOT_S8_STEP;
    int8_t *copies = (int8_t *)scratch + ingot_deconv_plan_scratch_size(plan);
    void *out_rows[INGOT_GEMM_MR];
    const int8_t *residual_rows[INGOT_GEMM_MR];
    ingot_deconv_unit pointed = {-1, -1, -1};
    ingot_deconv_tile at = {0};

    ingot_gemm_s8 tile = {.steps = steps, .panel_stride = s->taps * steps * INGOT_S8_BLOCK, .out = out_rows};
    tile.residual = residual->data != NULL ? residual_rows : NULL;
    tile.scale = call->in[SCALE].data;
    ingot_gemm_s8_set_bias(&call->in[INGOT_DECONV_BIAS], &tile);
    ingot_gemm_s8_describe(&p->numbers, &p->conv.activation, out, &tile);
    const int64_t element = tile.float_out ? (int64_t)sizeof(float) : 1;
    for (uint32_t index = begin; index < end; index++) {
        const ingot_deconv_unit unit = ingot_deconv_unit_at(plan, index);
        if (unit.tile != pointed.tile || unit.group != pointed.group) {
            ingot_deconv_point(plan, call->in[INGOT_DECONV_X].data, unit.tile, unit.group, scratch, &at);
            if (copies_size(plan) != 0) {
                copy_runs(&at, s->group_in, scratch, copies);
            }
            for (int64_t r = 0; r < at.count; r++) {
                const int64_t pixel = at.pixel + r * at.step;
                out_rows[r] = (char *)out->data + pixel * out->pitch * element;
                if (residual->data != NULL) {
                    residual_rows[r] = (const int8_t *)residual->data + pixel * residual->pitch;
                }
            }
            tile.rows = at.rows;
            tile.taps = at.taps;
            tile.mr = (int32_t)at.count;
            tile.sums = (const int32_t *)call->in[SUMS].data + at.phase * s->out_channels;
            pointed = unit;
        }
        tile.column = unit.group * s->group_out + unit.panel * INGOT_GEMM_NR;
        tile.columns = ingot_min64(s->group_out - unit.panel * INGOT_GEMM_NR, SLICE_PANELS * INGOT_GEMM_NR);
        tile.weights = (const int8_t *)call->in[INGOT_DECONV_W].data +
                       (unit.group * plan->panels + unit.panel) * tile.panel_stride +
                       at.first_tap * steps * INGOT_S8_BLOCK;
        fn(&tile);
    }
    return INGOT_KERNEL_OK;
}

INGOT_CONV_TRANSPOSE_S8_KERNEL

const ingot_family ingot_family_conv_transpose_s8_n16k4 = {
    .params_size = sizeof(ingot_conv_transpose_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 6,
    .in_max = 6,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_DECONV_RESIDUAL,
    .check = deconv_check,
    .units = deconv_units,
    .state_size = deconv_state_size,
    .prepare = deconv_prepare,
    .scratch_size = deconv_scratch_size,
};
