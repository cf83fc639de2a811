/* conv_f32_winograd: minimal filtering, see winograd.h.
 *
 * weights: G g G' in panels, [ceil(O / 16)][(m + 2)^2][C][16], or as conv_f32_n16 has them, [ceil(O / 16)][9][C][16]:
 * then each context makes its own of them. A work unit is a block of tiles by a slice of panels; those of one block
 * follow each other, so that a thread transforms a block's inputs once. */
#include "integers.h"
#include "winograd_impl.h"

#include <string.h>

enum { MOST_BLOCK = 256, MOST_SLICE = 64, LANES = INGOT_GEMM_NR };

/* The pitch of rows of `length` and the distance of `count` such rows to the next: such that rows, and positions, do
 * not fall into the same few sets of a cache. */
static int64_t spread_pitch(int64_t length) {
    const int64_t lines = ingot_ceil_div(length, LANES);
    return (lines + (lines % LANES == 0)) * LANES;
}

static int64_t spread_stride(int64_t count, int64_t pitch) { return (count * pitch / LANES | 1) * LANES; }

void ingot_winograd_plan_make(const ingot_call *call, ingot_winograd_plan *plan) {
    const ingot_conv_winograd_params *p = call->params;
    ingot_conv_shape *s = &plan->shape;
    ingot_conv_shape_read(call, s);
    plan->m = p->tile;
    plan->positions = (int64_t)(p->tile + 2) * (p->tile + 2);
    plan->lines = ingot_ceil_div(s->out[1], plan->m);
    plan->columns = ingot_ceil_div(s->out[2], plan->m);
    plan->tiles = s->batch * s->out[0] * plan->lines * plan->columns;
    plan->blocks = ingot_ceil_div(plan->tiles, p->block);
    plan->panels = ingot_ceil_div(s->out_channels, LANES);
    plan->slice = ingot_min64(p->slice, plan->panels);
    plan->slices = ingot_ceil_div(plan->panels, plan->slice);
    const int64_t block = plan->blocks > 0 ? ingot_ceil_div(plan->tiles, plan->blocks) : 0;
    plan->in_pitch = spread_pitch(s->in_channels);
    plan->in_stride = spread_stride(block, plan->in_pitch);
    plan->product_pitch = spread_pitch(plan->slice * LANES);
    plan->product_stride = spread_stride(block, plan->product_pitch);
}

const char *ingot_winograd_check(const ingot_call *call, uint8_t dtype, ingot_conv_shape *s) {
    const ingot_conv_winograd_params *p = call->params;
    const ingot_arg *out = &call->out[0];
    const char *reason = ingot_conv_operands_check(call, dtype, INGOT_F32);
    if (reason != NULL) {
        return reason;
    }
    if ((p->tile != 2 && p->tile != 4) || p->block < 1 || p->block > MOST_BLOCK || p->slice < 1 ||
        p->slice > MOST_SLICE || p->made < 0 || p->made > (dtype == INGOT_F32 && p->tile == 4)) {
        return "conv: tiles";
    }
    if (p->made && call->in[INGOT_CONV_W].storage != INGOT_STORAGE_CONSTANT) {
        return "conv: weights to be transformed are not constants"; /* prepare reads them */
    }
    reason = ingot_conv_shape_check(call, 9, s);
    if (reason != NULL) {
        return reason;
    }
    if (s->kernel[1] != 3 || s->kernel[2] != 3 || s->groups != 1 || s->pad[0] != 0 || s->in[0] != s->out[0]) {
        return "conv: not a window of 3x3";
    }
    for (int i = 0; i < 3; i++) {
        if (s->stride[i] != 1 || s->dilation[i] != 1) {
            return "conv: strides or dilations of a window";
        }
    }
    const int64_t panels = ingot_ceil_div(s->out_channels, LANES);
    return out->count / s->out_channels > UINT32_MAX / panels ? "conv: too many work units" : NULL;
}

static const char *winograd_check(const ingot_call *call) {
    const ingot_conv_winograd_params *p = call->params;
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape s;
    const char *reason = ingot_winograd_check(call, INGOT_F32, &s);
    if (reason != NULL) {
        return reason;
    }
    if (w->dtype != INGOT_F32 || w->rank != 4 || w->pitch != LANES || w->dims[3] != LANES ||
        w->dims[0] != ingot_ceil_div(s.out_channels, LANES) ||
        w->dims[1] != (p->made ? 9 : (p->tile + 2) * (p->tile + 2)) || w->dims[2] != s.in_channels) {
        return "conv: weights";
    }
    return NULL;
}

uint32_t ingot_winograd_units(const ingot_call *call) {
    ingot_winograd_plan plan;
    ingot_winograd_plan_make(call, &plan);
    return (uint32_t)(plan.blocks * plan.slices);
}

static uint64_t zeros_bytes(const ingot_winograd_plan *plan) {
    return (uint64_t)ingot_ceil_div(plan->shape.in_channels, LANES) * LANES * sizeof(float);
}

/* Where in the state the weights of this context begin: whole cache lines. */
static uint64_t weights_offset(const ingot_winograd_plan *plan) {
    return (sizeof *plan + zeros_bytes(plan) + 63) / 64 * 64;
}

uint64_t ingot_winograd_state_size(const ingot_call *call) {
    const ingot_conv_winograd_params *p = call->params;
    ingot_winograd_plan plan;
    ingot_winograd_plan_make(call, &plan);
    const int64_t made = p->made ? ingot_winograd_weights(plan.panels, plan.shape.in_channels) : 0;
    return weights_offset(&plan) + (uint64_t)made * sizeof(float);
}

void ingot_winograd_prepare(const ingot_call *call) {
    const ingot_conv_winograd_params *p = call->params;
    ingot_winograd_plan *plan = call->state;
    ingot_winograd_plan_make(call, plan);
    memset(plan->zeros, 0, (size_t)zeros_bytes(plan));
    plan->weights = NULL;
    if (p->made) {
        float *weights = (float *)(void *)((uint8_t *)plan + weights_offset(plan));
        ingot_winograd_make_weights(call->in[INGOT_CONV_W].data, plan->panels, plan->shape.in_channels, weights);
        plan->weights = weights;
    }
}

static uint64_t winograd_scratch_size(const ingot_call *call) {
    ingot_winograd_plan plan;
    ingot_winograd_plan_make(call, &plan);
    const int64_t discard = plan.slice * LANES;
    return (uint64_t)(plan.positions * (plan.in_stride + plan.product_stride) + discard) * sizeof(float);
}

/* Transforms the inputs of `count` tiles. Channels behind the last whole panel are brought side by side first. */
static void transform_inputs(const ingot_winograd_plan *plan, const float *x, int64_t first, int64_t count,
                             ingot_winograd_input_fn input, float *to) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t n = plan->m + 2, rest = s->in_channels % LANES, whole = s->in_channels - rest;
    const float *pixels[INGOT_WINOGRAD_POSITIONS];
    float copies[INGOT_WINOGRAD_POSITIONS][LANES] = {{0}};
    for (int64_t t = 0; t < count; t++, to += plan->in_pitch) {
        const ingot_winograd_tile tile = ingot_winograd_tile_at(plan, first + t);
        const float *image = x + tile.image * s->in[1] * s->in[2] * s->in_pitch;
        const float **pixel = pixels;
        for (int64_t i = tile.y - s->pad[1]; i < tile.y - s->pad[1] + n; i++) {
            for (int64_t j = tile.x - s->pad[2]; j < tile.x - s->pad[2] + n; j++) {
                const int inside = i >= 0 && i < s->in[1] && j >= 0 && j < s->in[2];
                *pixel++ = inside ? image + (i * s->in[2] + j) * s->in_pitch : plan->zeros;
            }
        }
        if (whole > 0) {
            input(pixels, whole, to, plan->in_stride);
        }
        if (rest > 0) {
            for (int64_t i = 0; i < plan->positions; i++) {
                memcpy(copies[i], pixels[i] + whole, (size_t)rest * sizeof(float));
                pixels[i] = copies[i];
            }
            input(pixels, LANES, to + whole, plan->in_stride);
        }
    }
}

/* Multiplies the transformed inputs of `count` tiles with panels of weights, position by position. */
static void multiply(const ingot_winograd_plan *plan, const float *weights, const float *inputs, int64_t count,
                     int64_t panels, ingot_gemm_f32_fn gemm, float *products) {
    const void *rows[INGOT_GEMM_MR];
    float *out[INGOT_GEMM_MR];
    const ingot_activation none = {.kind = INGOT_ACT_NONE};
    const int64_t panel = plan->shape.in_channels * LANES, parts = ingot_ceil_div(count, INGOT_GEMM_MR);
    ingot_gemm_f32 tile = {.rows = rows, .taps = 1, .length = plan->shape.in_channels, .out = out};
    tile.columns = panels * LANES;
    tile.panel_stride = plan->positions * panel;
    ingot_gemm_f32_activation(&tile, &none);
    for (int64_t position = 0; position < plan->positions; position++) {
        tile.weights = weights + position * panel;
        int64_t row = 0;
        for (int64_t part = 0; part < parts; part++) {
            tile.mr = (int32_t)((count - row) / (parts - part));
            for (int32_t r = 0; r < tile.mr; r++, row++) {
                rows[r] = inputs + position * plan->in_stride + row * plan->in_pitch;
                out[r] = products + position * plan->product_stride + row * plan->product_pitch;
            }
            gemm(&tile);
        }
    }
}

/* Results of a tile that do not fill a panel go through a buffer. */
static void output_rest(const ingot_winograd_output *tile, int64_t column, int64_t rest, int64_t pixels,
                        ingot_winograd_output_fn output) {
    float results[INGOT_WINOGRAD_PIXELS][LANES], residuals[INGOT_WINOGRAD_PIXELS][LANES] = {{0}}, bias[LANES] = {0};
    float *out[INGOT_WINOGRAD_PIXELS];
    const float *residual[INGOT_WINOGRAD_PIXELS];
    const size_t bytes = (size_t)rest * sizeof(float);
    ingot_winograd_output part = *tile;
    for (int64_t i = 0; i < pixels; i++) {
        out[i] = results[i];
        residual[i] = residuals[i];
        if (tile->residual != NULL) {
            memcpy(residuals[i], tile->residual[i] + column, bytes);
        }
    }
    if (tile->bias != NULL) {
        memcpy(bias, tile->bias + column, bytes);
    }
    part.from += column;
    part.columns = LANES;
    part.bias = bias;
    part.out = out;
    part.residual = tile->residual != NULL ? residual : NULL;
    output(&part);
    for (int64_t i = 0; i < pixels; i++) {
        memcpy(tile->out[i] + column, results[i], bytes);
    }
}

/* Transforms the products of `count` tiles to results: `columns` of them from `column` on. What a tile has outside the
 * image goes to `discard`. */
static void transform_outputs(const ingot_call *call, int64_t first, int64_t count, int64_t column, int64_t columns,
                              const float *products, float *discard, const ingot_winograd_isa *isa) {
    const ingot_winograd_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_conv_winograd_params *params = call->params;
    const ingot_arg *bias = &call->in[INGOT_CONV_BIAS], *residual = &call->in[INGOT_CONV_RESIDUAL];
    const ingot_winograd_output_fn output = isa->output[plan->m == 4];
    const int64_t rest = columns % LANES;
    ingot_gemm_f32 end;
    ingot_gemm_f32_activation(&end, &params->conv.activation);
    float *out[INGOT_WINOGRAD_PIXELS];
    const float *residuals[INGOT_WINOGRAD_PIXELS];
    ingot_winograd_output tile = {.stride = plan->product_stride, .out = out, .lo = end.lo, .hi = end.hi};
    tile.bias = bias->data != NULL ? (const float *)bias->data + column : NULL;
    tile.residual = residual->data != NULL ? residuals : NULL;
    for (int64_t t = 0; t < count; t++) {
        const ingot_winograd_tile at = ingot_winograd_tile_at(plan, first + t);
        int64_t i = 0;
        for (int64_t y = at.y; y < at.y + plan->m; y++) {
            for (int64_t x = at.x; x < at.x + plan->m; x++, i++) {
                const int64_t pixel = (at.image * s->out[1] + y) * s->out[2] + x;
                const int inside = y < s->out[1] && x < s->out[2];
                out[i] = inside ? (float *)call->out[0].data + pixel * s->out_pitch + column : discard;
                if (tile.residual != NULL) {
                    residuals[i] = inside ? (const float *)residual->data + pixel * residual->pitch + column : discard;
                }
            }
        }
        tile.from = products + t * plan->product_pitch;
        tile.columns = columns - rest;
        if (tile.columns > 0) {
            output(&tile);
        }
        if (rest > 0) {
            output_rest(&tile, columns - rest, rest, i, output);
        }
        for (int64_t j = 0; end.activation != NULL && j < i; j++) {
            if (out[j] != discard) {
                isa->gemm->activate(end.activation, out[j], columns);
            }
        }
    }
}

int64_t ingot_winograd_block(const ingot_winograd_plan *plan, int64_t block, int64_t *count) {
    const int64_t base = plan->tiles / plan->blocks, longer = plan->tiles % plan->blocks;
    *count = base + (block < longer);
    return block * base + ingot_min64(block, longer);
}

int ingot_conv_winograd_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                            const ingot_winograd_isa *isa) {
    const ingot_winograd_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const float *weights = plan->weights != NULL ? plan->weights : call->in[INGOT_CONV_W].data;
    float *inputs = scratch, *products = inputs + plan->positions * plan->in_stride;
    float *discard = products + plan->positions * plan->product_stride;
    int64_t transformed = -1, first = 0, count = 0;
    memset(discard, 0, (size_t)(plan->slice * LANES) * sizeof(float));
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t block = unit / plan->slices, panel = unit % plan->slices * plan->slice;
        const int64_t panels = ingot_min64(plan->slice, plan->panels - panel);
        if (block != transformed) {
            first = ingot_winograd_block(plan, block, &count);
            transform_inputs(plan, call->in[INGOT_CONV_X].data, first, count, isa->input[plan->m == 4], inputs);
            transformed = block;
        }
        multiply(plan, weights + panel * plan->positions * s->in_channels * LANES, inputs, count, panels,
                 isa->gemm->tile, products);
        transform_outputs(call, first, count, panel * LANES,
                          ingot_min64(panels * LANES, s->out_channels - panel * LANES), products, discard, isa);
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_conv_f32_winograd = {
    .params_size = sizeof(ingot_conv_winograd_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = winograd_check,
    .units = ingot_winograd_units,
    .state_size = ingot_winograd_state_size,
    .prepare = ingot_winograd_prepare,
    .scratch_size = winograd_scratch_size,
};
