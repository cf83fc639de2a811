/* conv_f32_dw_tile: which pixels the tiles of a work unit read and write; see depthwise_tile.h.
 *
 * A work unit is two lines of results by a slice of channels. Tiles that reach beyond the image read a pixel of zeros
 * and write one that nobody reads. */
#include "depthwise_tile_impl.h"
#include "integers.h"

#include <string.h>

enum {
    SLICE = INGOT_DW_TILE_SLICE,
    LANES = INGOT_DW_LANES,
    RESULTS = INGOT_DW_TILE_RESULTS,
    INPUTS = INGOT_DW_TILE_INPUTS,
    TAPS = INGOT_DW_TILE_KERNEL * INGOT_DW_TILE_KERNEL
};

typedef struct dw_tile_plan {
    ingot_conv_shape shape;
    int64_t lines;  /* pairs of an image */
    int64_t slices; /* of channels */
} dw_tile_plan;

static void plan_make(const ingot_call *call, dw_tile_plan *plan) {
    ingot_conv_shape_read(call, &plan->shape);
    plan->lines = ingot_ceil_div(plan->shape.out[1], INGOT_DW_TILE_LINES);
    plan->slices = ingot_ceil_div(plan->shape.in_channels, SLICE);
}

const char *ingot_dw_tile_shape_check(const ingot_conv_shape *s) {
    if (s->kernel[0] != 1 || s->stride[0] != 1 || s->pad[0] != 0 || s->in[0] != s->out[0]) {
        return "conv: planes of a window of 3x3";
    }
    for (int i = 1; i < 3; i++) {
        if (s->kernel[i] != INGOT_DW_TILE_KERNEL || s->dilation[i] != 1 || s->stride[i] > 2 ||
            s->stride[i] != s->stride[1]) {
            return "conv: not a window of 3x3 that moves by one or two";
        }
    }
    return NULL;
}

static const char *dw_tile_check(const ingot_call *call) {
    ingot_conv_shape s;
    const char *reason = ingot_family_conv_f32_dw.check(call);
    if (reason != NULL) {
        return reason;
    }
    ingot_conv_shape_read(call, &s);
    reason = ingot_dw_tile_shape_check(&s);
    if (reason != NULL) {
        return reason;
    }
    return call->out[0].count > UINT32_MAX ? "conv: too many work units" : NULL;
}

static uint32_t dw_tile_units(const ingot_call *call) {
    dw_tile_plan plan;
    plan_make(call, &plan);
    return (uint32_t)(plan.shape.batch * plan.shape.out[0] * plan.lines * plan.slices);
}

static uint64_t dw_tile_state_size(const ingot_call *call) { return sizeof(dw_tile_plan); }

static void dw_tile_prepare(const ingot_call *call) { plan_make(call, call->state); }

static uint64_t dw_tile_scratch_size(const ingot_call *call) { return sizeof(ingot_dw_tile_scratch); }

/* The channels that do not fill a register: brought side by side, and back. */
static void run_rest(const ingot_dw_tile *tile, int64_t rest, int64_t inputs, int64_t lanes, ingot_dw_tile_fn run,
                     ingot_dw_tile_scratch *scratch) {
    const int64_t first = tile->channels;
    const size_t bytes = (size_t)rest * sizeof(float);
    const void *in[INPUTS], *residual[RESULTS];
    void *out[RESULTS];
    ingot_dw_tile part = *tile;
    for (int64_t i = 0; i < inputs; i++) {
        memcpy(scratch->in[i], (const float *)tile->in[i] + tile->moved + first, bytes);
        in[i] = scratch->in[i];
    }
    for (int i = 0; i < RESULTS; i++) {
        out[i] = scratch->out[i];
        residual[i] = scratch->residual[i];
        if (tile->residual != NULL) {
            memcpy(scratch->residual[i], (const float *)tile->residual[i] + first, bytes);
        }
    }
    if (tile->bias != NULL) {
        memcpy(scratch->bias, tile->bias + first, bytes);
        part.bias = scratch->bias;
    }
    part.in = in;
    part.moved = 0;
    part.weights += first / LANES * LANES * TAPS + first % LANES;
    part.out = out;
    part.residual = tile->residual != NULL ? residual : NULL;
    part.channels = lanes;
    run(&part);
    for (int i = 0; i < RESULTS; i++) {
        memcpy((float *)tile->out[i] + first, out[i], bytes);
    }
}

static int64_t input_lines(const ingot_conv_shape *s) {
    return (INGOT_DW_TILE_LINES - 1) * s->stride[1] + INGOT_DW_TILE_KERNEL;
}

static int64_t input_columns(const ingot_conv_shape *s) {
    return (INGOT_DW_TILE_COLUMNS - 1) * s->stride[2] + INGOT_DW_TILE_KERNEL;
}

int64_t ingot_dw_tile_point(ingot_dw_tile_inputs *inputs, const ingot_conv_shape *s, const void *image, int64_t element,
                            int64_t y, int64_t x, const void *zeros) {
    const int64_t lines = input_lines(s), columns = input_columns(s), pixel_bytes = s->in_pitch * element;
    const int64_t top = y * s->stride[1] - s->pad[1], left = x * s->stride[2] - s->pad[2];
    const int between = left >= 0 && left + columns <= s->in[2];
    const void **in = inputs->in;
    if (between && inputs->image == image && inputs->y == y && inputs->x <= x) {
        return (x - inputs->x) * s->stride[2] * s->in_pitch;
    }
    for (int64_t i = top; i < top + lines; i++) {
        const int within = i >= 0 && i < s->in[1];
        int64_t at = (i * s->in[2] + left) * pixel_bytes;
        for (int64_t j = left; j < left + columns; j++, at += pixel_bytes) {
            const int inside = within && j >= 0 && j < s->in[2];
            *in++ = inside ? (const char *)image + at : zeros;
        }
    }
    inputs->image = between && top >= 0 && top + lines <= s->in[1] ? image : NULL;
    inputs->y = y;
    inputs->x = x;
    return 0;
}

void ingot_dw_tile_results(const ingot_conv_shape *s, const void *pixels, int64_t pixel_bytes, int64_t y, int64_t x,
                           int64_t lines, int64_t columns, const void *outside, const void **results) {
    for (int64_t i = y; i < y + INGOT_DW_TILE_LINES; i++) {
        int64_t at = (i * s->out[2] + x) * pixel_bytes;
        for (int64_t j = x; j < x + INGOT_DW_TILE_COLUMNS; j++, at += pixel_bytes) {
            const int inside = i < lines && j < columns;
            *results++ = inside ? (const char *)pixels + at : outside;
        }
    }
}

void ingot_dw_tile_at(const ingot_conv_shape *s, const float *image, int64_t y, int64_t x, int64_t channels,
                      ingot_dw_tile *tile, const ingot_dw_tile_isa *isa, ingot_dw_tile_scratch *scratch) {
    const ingot_dw_tile_fn run = isa->tile[s->stride[1] - 1];
    const int64_t rest = channels % isa->lanes;
    tile->moved = ingot_dw_tile_point(&scratch->inputs, s, image, sizeof(float), y, x, scratch->zeros);
    tile->in = scratch->inputs.in;
    tile->channels = channels - rest;
    run(tile);
    if (rest > 0) {
        run_rest(tile, rest, input_lines(s) * input_columns(s), isa->lanes, run, scratch);
    }
}

int ingot_conv_dw_tile_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const ingot_dw_tile_isa *isa) {
    const dw_tile_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_conv_params *params = call->params;
    const ingot_arg *bias = &call->in[INGOT_CONV_BIAS], *residual = &call->in[INGOT_CONV_RESIDUAL];
    ingot_dw_tile_scratch *own = scratch;
    const void *residuals[RESULTS], *out[RESULTS];
    ingot_dw_tile tile = {.out = (void *const *)out, .residual = residual->data != NULL ? residuals : NULL};
    ingot_gemm_f32 finish;
    ingot_gemm_f32_activation(&finish, &params->activation);
    tile.lo = finish.lo;
    tile.hi = finish.hi;
    memset(own, 0, sizeof *own);
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t channel = unit % plan->slices * SLICE, pair = unit / plan->slices;
        const int64_t image = pair / plan->lines, y = pair % plan->lines * INGOT_DW_TILE_LINES;
        const int64_t channels = ingot_min64(SLICE, s->in_channels - channel);
        const float *x0 = (const float *)call->in[INGOT_CONV_X].data + image * s->in[1] * s->in[2] * s->in_pitch;
        tile.weights = (const float *)call->in[INGOT_CONV_W].data + channel * TAPS;
        tile.bias = bias->data != NULL ? (const float *)bias->data + channel : NULL;
        const int64_t before = image * s->out[1] * s->out[2], out_bytes = s->out_pitch * (int64_t)sizeof(float);
        const float *results = (const float *)call->out[0].data + before * s->out_pitch + channel, *added = NULL;
        if (tile.residual != NULL) {
            added = (const float *)residual->data + before * residual->pitch + channel;
        }
        for (int64_t x = 0; x < s->out[2]; x += INGOT_DW_TILE_COLUMNS) {
            ingot_dw_tile_results(s, results, out_bytes, y, x, s->out[1], s->out[2], own->discard, out);
            if (tile.residual != NULL) {
                ingot_dw_tile_results(s, added, residual->pitch * (int64_t)sizeof(float), y, x, s->out[1], s->out[2],
                                      own->zeros, residuals);
            }
            ingot_dw_tile_at(s, x0 + channel, y, x, channels, &tile, isa, own);
            for (int i = 0; finish.activation != NULL && i < RESULTS; i++) {
                if (out[i] != own->discard) {
                    isa->gemm->activate(finish.activation, tile.out[i], channels);
                }
            }
        }
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_conv_f32_dw_tile = {
    .params_size = sizeof(ingot_conv_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = dw_tile_check,
    .units = dw_tile_units,
    .state_size = dw_tile_state_size,
    .prepare = dw_tile_prepare,
    .scratch_size = dw_tile_scratch_size,
};
