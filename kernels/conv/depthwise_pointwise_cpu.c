/* conv_f32_dw_pw: a depthwise convolution of 3x3 and the pointwise one that reads it, in one pass.
 *
 * A work unit is a tile of 2x4 pixels: its depthwise results stay in the cache, rows of a product with the pointwise
 * weights. What lies between the two is never in memory. */
#include "conv_f32.h"
#include "depthwise_tile.h"
#include "integers.h"

#include <string.h>

enum { RESULTS = INGOT_DW_TILE_RESULTS, TAPS = INGOT_DW_TILE_KERNEL * INGOT_DW_TILE_KERNEL };
enum { W = 0, BIAS = 1, RESIDUAL = 2, DW_X = 3, DW_W = 4, DW_BIAS = 5, DW_RESIDUAL = 6 };

typedef struct dw_pw_plan {
    ingot_conv_shape shape; /* of the depthwise convolution */
    int64_t lines, columns; /* tiles of an image */
    int64_t pitch;          /* floats from the depthwise results of a pixel to the next's */
} dw_pw_plan;

/* The depthwise convolution as a call of its own; its result, which nothing holds, is as `between` says. */
static ingot_call depthwise_call(const ingot_call *call, ingot_arg *between, ingot_arg *in) {
    const ingot_conv_dw_pw_params *p = call->params;
    const ingot_arg *x = &call->in[DW_X], *out = &call->out[0];
    const int last = out->rank > 0 ? out->rank - 1 : 0;
    *between = *out;
    between->data = NULL;
    between->dims[last] = between->pitch = x->rank > 0 ? x->dims[x->rank - 1] : 1;
    between->count = out->dims[last] > 0 ? out->count / out->dims[last] * between->pitch : 0;
    in[INGOT_CONV_X] = *x;
    in[INGOT_CONV_W] = call->in[DW_W];
    in[INGOT_CONV_BIAS] = call->in[DW_BIAS];
    in[INGOT_CONV_RESIDUAL] = call->in[DW_RESIDUAL];
    return (ingot_call){.in = in, .out = between, .in_count = 4, .out_count = 1, .params = &p->depthwise};
}

static const char *dw_pw_check(const ingot_call *call) {
    const ingot_conv_dw_pw_params *p = call->params;
    const ingot_arg *x = &call->in[DW_X], *out = &call->out[0];
    ingot_arg between, in[4];
    if (call->in[DW_RESIDUAL].dtype != INGOT_DTYPE_NONE || x->rank < 3 || out->rank != x->rank) {
        return "conv: rank, or a residual inside";
    }
    const int64_t channels = x->dims[x->rank - 1], columns = out->dims[out->rank - 1];
    if (channels < 1 || columns < 1 || out->count / columns > UINT32_MAX / channels) {
        return "conv: channels, or too many pixels";
    }
    const ingot_call depthwise = depthwise_call(call, &between, in);
    const char *reason = ingot_family_conv_f32_dw_tile.check(&depthwise);
    if (reason != NULL) {
        return reason;
    }
    for (int i = 0; i < 3; i++) {
        if (p->pointwise.kernel[i] != 1 || p->pointwise.strides[i] != 1 || p->pointwise.pads_begin[i] != 0 ||
            p->pointwise.pads_end[i] != 0) {
            return "conv: not pointwise";
        }
    }
    const ingot_arg operands[4] = {between, call->in[W], call->in[BIAS], call->in[RESIDUAL]};
    const ingot_call pointwise = {
        .in = operands, .out = call->out, .in_count = 4, .out_count = 1, .params = &p->pointwise};
    reason = ingot_family_conv_f32_n16.check(&pointwise);
    return reason == NULL && p->pointwise.groups != 1 ? "conv: groups" : reason;
}

static void plan_make(const ingot_call *call, dw_pw_plan *plan) {
    ingot_arg between, in[4];
    const ingot_call depthwise = depthwise_call(call, &between, in);
    ingot_conv_shape_read(&depthwise, &plan->shape);
    plan->lines = ingot_ceil_div(plan->shape.out[1], INGOT_DW_TILE_LINES);
    plan->columns = ingot_ceil_div(plan->shape.out[2], INGOT_DW_TILE_COLUMNS);
    plan->pitch = ingot_gemm_copy_pitch(ingot_ceil_div(plan->shape.in_channels, INGOT_DW_LANES) * INGOT_DW_LANES);
}

static uint32_t dw_pw_units(const ingot_call *call) {
    dw_pw_plan plan;
    plan_make(call, &plan);
    return (uint32_t)(plan.shape.batch * plan.shape.out[0] * plan.lines * plan.columns);
}

static uint64_t dw_pw_state_size(const ingot_call *call) { return sizeof(dw_pw_plan); }

static void dw_pw_prepare(const ingot_call *call) { plan_make(call, call->state); }

static uint64_t dw_pw_scratch_size(const ingot_call *call) {
    dw_pw_plan plan;
    plan_make(call, &plan);
    return sizeof(ingot_dw_tile_scratch) + (uint64_t)(plan.pitch * RESULTS) * sizeof(float);
}

/* The depthwise results of a tile, in rows of all channels. */
static void depthwise_tile(const ingot_call *call, const float *image, int64_t y, int64_t x, float *rows,
                           ingot_dw_tile_scratch *own, const ingot_dw_tile_isa *isa) {
    const dw_pw_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_conv_dw_pw_params *p = call->params;
    const float *weights = call->in[DW_W].data, *bias = call->in[DW_BIAS].data;
    void *out[RESULTS];
    ingot_gemm_f32 finish;
    ingot_gemm_f32_activation(&finish, &p->depthwise.activation);
    ingot_dw_tile tile = {.out = out, .lo = finish.lo, .hi = finish.hi};
    for (int64_t channel = 0; channel < s->in_channels; channel += INGOT_DW_TILE_SLICE) {
        const int64_t left = s->in_channels - channel;
        for (int i = 0; i < RESULTS; i++) {
            out[i] = rows + i * plan->pitch + channel;
        }
        tile.weights = weights + channel * TAPS;
        tile.bias = bias != NULL ? bias + channel : NULL;
        ingot_dw_tile_at(s, image + channel, y, x, left < INGOT_DW_TILE_SLICE ? left : INGOT_DW_TILE_SLICE, &tile, isa,
                         own);
    }
    if (finish.activation != NULL) {
        for (int i = 0; i < RESULTS; i++) {
            isa->gemm->activate(finish.activation, rows + i * plan->pitch, s->in_channels);
        }
    }
}

int ingot_conv_dw_pw_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                         const ingot_dw_tile_isa *isa) {
    const dw_pw_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_conv_dw_pw_params *p = call->params;
    const ingot_arg *residual = &call->in[RESIDUAL], *out = &call->out[0];
    ingot_dw_tile_scratch *own = scratch;
    float *between = (float *)(own + 1);
    const void *rows[INGOT_GEMM_MR];
    const float *residual_rows[INGOT_GEMM_MR];
    float *out_rows[INGOT_GEMM_MR];
    ingot_gemm_f32 tile = {.rows = rows, .taps = 1, .length = s->in_channels, .out = out_rows};
    tile.weights = call->in[W].data;
    tile.panel_stride = s->in_channels * INGOT_GEMM_NR;
    tile.residual = residual->data != NULL ? residual_rows : NULL;
    tile.bias = call->in[BIAS].data;
    tile.columns = out->dims[out->rank - 1];
    ingot_gemm_f32_activation(&tile, &p->pointwise.activation);
    memset(own, 0, sizeof *own);
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t x = unit % plan->columns * INGOT_DW_TILE_COLUMNS, pair = unit / plan->columns;
        const int64_t image = pair / plan->lines, y = pair % plan->lines * INGOT_DW_TILE_LINES;
        const float *from = (const float *)call->in[DW_X].data + image * s->in[1] * s->in[2] * s->in_pitch;
        depthwise_tile(call, from, y, x, between, own, isa);
        tile.mr = 0;
        for (int i = 0; i < RESULTS; i++) {
            const int64_t line = y + i / INGOT_DW_TILE_COLUMNS, column = x + i % INGOT_DW_TILE_COLUMNS;
            if (line >= s->out[1] || column >= s->out[2]) {
                continue;
            }
            const int64_t pixel = (image * s->out[1] + line) * s->out[2] + column;
            rows[tile.mr] = between + i * plan->pitch;
            out_rows[tile.mr] = (float *)out->data + pixel * out->pitch;
            if (tile.residual != NULL) {
                residual_rows[tile.mr] = (const float *)residual->data + pixel * residual->pitch;
            }
            tile.mr++;
        }
        isa->gemm->tile(&tile);
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_conv_f32_dw_pw = {
    .params_size = sizeof(ingot_conv_dw_pw_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 7,
    .in_max = 7,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << RESIDUAL,
    .check = dw_pw_check,
    .units = dw_pw_units,
    .state_size = dw_pw_state_size,
    .prepare = dw_pw_prepare,
    .scratch_size = dw_pw_scratch_size,
};
