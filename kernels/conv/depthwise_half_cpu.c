/* conv_f16_dw, conv_bf16_dw: depthwise convolution of images stored in half, by the float32 kernel.
 *
 * A unit is a few output rows by up to INGOT_DW_CHUNK columns by up to BLOCK channels. What of the image it reads is
 * widened in scratch, where the lines that rows have in common are widened once and stay in a near cache. Weights are
 * few and float32, [ceil(C / 16)][taps][16]; x, the residual and the result are half or float32. */
#include "depthwise_half_tile.h"
#include "integers.h"

enum { ROWS = 4, BLOCK = 64 };

typedef struct dw_half_plan {
    ingot_dw_plan dw;
    int64_t bands, blocks;          /* of an image; of the channels */
    int64_t line_room, column_room; /* of the widened image */
} dw_half_plan;

/* Input positions that `count` neighbouring windows of an axis reach. */
static int64_t reach(const ingot_conv_shape *s, int axis, int64_t count) {
    return ingot_min64((count - 1) * s->stride[axis] + (s->kernel[axis] - 1) * s->dilation[axis] + 1, s->in[axis]);
}

static void plan_make(const ingot_call *call, dw_half_plan *plan) {
    const ingot_conv_shape *s = &plan->dw.shape;
    ingot_dw_plan_make(call, call->in[INGOT_CONV_W].dims[1], &plan->dw);
    plan->bands = (s->out[1] + ROWS - 1) / ROWS;
    plan->blocks = (s->in_channels + BLOCK - 1) / BLOCK;
    plan->line_room = reach(s, 1, ingot_min64(ROWS, s->out[1]));
    plan->column_room = reach(s, 2, ingot_min64(INGOT_DW_CHUNK, s->out[2]));
}

static const char *dw_check(const ingot_call *call) {
    const ingot_arg *w = &call->in[INGOT_CONV_W], *x = &call->in[INGOT_CONV_X], *out = &call->out[0];
    const ingot_arg *residual = &call->in[INGOT_CONV_RESIDUAL];
    ingot_conv_shape s;
    uint8_t half = INGOT_F32;
    const uint8_t types[] = {x->dtype, out->dtype, residual->dtype};
    for (int i = 0; i < 3; i++) {
        if (ingot_is_half(types[i]) && half == INGOT_F32) {
            half = types[i];
        } else if (types[i] != half && types[i] != INGOT_F32 && (i < 2 || types[i] != INGOT_DTYPE_NONE)) {
            return "conv: element types";
        }
    }
    const char *reason = ingot_conv_types_check(call, x->dtype, out->dtype, residual->dtype, INGOT_F32);
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
    if (s.groups != s.in_channels || s.groups != s.out_channels || x->rank > 4) {
        return "conv: not depthwise along one or two axes";
    }
    if (w->dims[0] != (s.in_channels + INGOT_DW_LANES - 1) / INGOT_DW_LANES) {
        return "conv: weights";
    }
    if (out->count > UINT32_MAX) {
        return "conv: too many work units";
    }
    return NULL;
}

static uint32_t dw_units(const ingot_call *call) {
    dw_half_plan plan;
    plan_make(call, &plan);
    return (uint32_t)(plan.dw.shape.batch * plan.bands * plan.dw.chunks * plan.blocks);
}

static uint64_t dw_state_size(const ingot_call *call) {
    (void)call;
    return sizeof(dw_half_plan);
}

static void dw_prepare(const ingot_call *call) { plan_make(call, call->state); }

/* What tiles need of scratch: a pixel of zeros, one that is written and that nobody reads, and where inputs lie. */
typedef struct dw_half_scratch {
    uint16_t zeros[BLOCK], discard[BLOCK];
    ingot_dw_tile_inputs inputs;
} dw_half_scratch;

/* The image, then a row of the residual, then one of the result. */
static uint64_t dw_scratch_size(const ingot_call *call) {
    dw_half_plan plan;
    plan_make(call, &plan);
    const int64_t pixels = plan.line_room * plan.column_room + 2 * (int64_t)INGOT_DW_CHUNK;
    const uint64_t widened = (uint64_t)pixels * BLOCK * sizeof(float);
    return widened > sizeof(dw_half_scratch) ? widened : sizeof(dw_half_scratch);
}

/* Where channels [channel, channel + count) of a pixel lie. */
static const void *pixel_at(const ingot_arg *arg, int64_t pixel, int64_t channel) {
    return (const char *)arg->data + (pixel * arg->pitch + channel) * ingot_half_size(arg->dtype);
}

/* Widens lines [y0, y1) and columns [x0, x1) of the image and lets `shape` be that of what came of it. */
static void widen_image(const ingot_half_isa *isa, const ingot_arg *x, int64_t batch, int64_t channel,
                        ingot_conv_shape *shape, const int64_t *y, const int64_t *columns, float *to) {
    const int64_t count = shape->in_channels, width = columns[1] - columns[0];
    for (int64_t line = y[0]; line < y[1]; line++, to += width * count) {
        const int64_t pixel = (batch * shape->in[1] + line) * shape->in[2] + columns[0];
        isa->widen(x->dtype, pixel_at(x, pixel, channel), x->pitch, to, count, width, count);
    }
    shape->pad[2] += columns[0];
    shape->in[1] = y[1] - y[0];
    shape->in[2] = width;
    shape->in_pitch = count;
}

/* Input positions [range[0], range[1]) that windows first ... last of an axis reach inside the image. */
static void clip_range(const ingot_conv_shape *s, int axis, int64_t first, int64_t last, int64_t *range) {
    const int64_t begin = first * s->stride[axis] - s->pad[axis];
    const int64_t end = last * s->stride[axis] - s->pad[axis] + (s->kernel[axis] - 1) * s->dilation[axis] + 1;
    range[0] = ingot_min64(ingot_max64(begin, 0), s->in[axis]);
    range[1] = ingot_max64(ingot_min64(end, s->in[axis]), range[0]);
}

/* Whether the results are tiles: the clamp of the activation then stands in `tile`. */
static int fits_tiles(const ingot_call *call, const ingot_conv_shape *s, const ingot_dw_half_tiles *tiles,
                      ingot_dw_tile *tile) {
    const ingot_conv_params *params = call->params;
    const uint8_t residual = call->in[INGOT_CONV_RESIDUAL].dtype;
    ingot_gemm_f32 clamp;
    ingot_gemm_f32_activation(&clamp, &params->activation);
    tile->lo = clamp.lo;
    tile->hi = clamp.hi;
    tile->activation = clamp.activation;
    return (clamp.activation == NULL || tiles->activates(clamp.activation)) &&
           call->in[INGOT_CONV_X].dtype == INGOT_BF16 && call->out[0].dtype == INGOT_BF16 &&
           (residual == INGOT_BF16 || residual == INGOT_DTYPE_NONE) && ingot_dw_tile_shape_check(s) == NULL;
}

/* A unit's results in tiles. Those that reach beyond the unit read zeros and write what nobody reads. */
static void unit_of_tiles(const ingot_call *call, const ingot_conv_shape *s, const ingot_dw_row *unit, int64_t batch,
                          const int64_t *lines, int64_t channel, ingot_dw_tile *tile, dw_half_scratch *own,
                          const ingot_dw_half_tiles *tiles) {
    const ingot_arg *residual = &call->in[INGOT_CONV_RESIDUAL];
    const int64_t element = sizeof(uint16_t), before = batch * s->out[1] * s->out[2];
    const void *out[INGOT_DW_TILE_RESULTS], *residuals[INGOT_DW_TILE_RESULTS], *added = NULL;
    const void *results = (const uint16_t *)call->out[0].data + before * s->out_pitch + channel;
    if (residual->data != NULL) {
        added = (const uint16_t *)residual->data + before * residual->pitch + channel;
    }
    tile->in = own->inputs.in;
    tile->weights = unit->weights;
    tile->bias = unit->bias;
    tile->out = (void *const *)out;
    tile->residual = residual->data != NULL ? residuals : NULL;
    tile->channels = unit->shape->in_channels;
    for (int64_t y = lines[0]; y < lines[1]; y += INGOT_DW_TILE_LINES) {
        for (int64_t x = unit->begin; x < unit->end; x += INGOT_DW_TILE_COLUMNS) {
            tile->moved = ingot_dw_tile_point(&own->inputs, s, unit->image, element, y, x, own->zeros);
            ingot_dw_tile_results(s, results, s->out_pitch * element, y, x, lines[1], unit->end, own->discard, out);
            if (tile->residual != NULL) {
                ingot_dw_tile_results(s, added, residual->pitch * element, y, x, lines[1], unit->end, own->zeros,
                                      residuals);
            }
            tiles->tile[s->stride[1] - 1](tile);
        }
    }
}

int ingot_conv_half_dw_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const ingot_half_isa *isa, ingot_dw_row_fn fn, const ingot_dw_half_tiles *tiles) {
    const dw_half_plan *plan = call->state;
    ingot_dw_tile tile;
    const int tiled = tiles != NULL && fits_tiles(call, &plan->dw.shape, tiles, &tile);
    const ingot_conv_shape *whole = &plan->dw.shape;
    const ingot_conv_params *params = call->params;
    const ingot_arg *x = &call->in[INGOT_CONV_X], *residual = &call->in[INGOT_CONV_RESIDUAL], *out = &call->out[0];
    const float *bias = call->in[INGOT_CONV_BIAS].data;
    float *image = scratch;
    float *rest = image + plan->line_room * plan->column_room * BLOCK, *result = rest + INGOT_DW_CHUNK * BLOCK;
    dw_half_scratch *own = scratch;
    if (tiled) {
        memset(own, 0, sizeof *own);
    }
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t block = unit % plan->blocks, place = unit / plan->blocks;
        const int64_t chunk = place % plan->dw.chunks, band = place / plan->dw.chunks % plan->bands;
        const int64_t batch = place / plan->dw.chunks / plan->bands, channel = block * BLOCK;
        const int64_t first = band * ROWS, last = ingot_min64(first + ROWS, whole->out[1]);
        ingot_conv_shape shape = *whole;
        shape.in_channels = ingot_min64(BLOCK, whole->in_channels - channel);
        ingot_dw_row row = {
            .shape = &shape,
            .weights = (const float *)call->in[INGOT_CONV_W].data + channel * whole->taps,
            .bias = bias != NULL ? bias + channel : NULL,
            .activation = &params->activation,
            .begin = chunk * INGOT_DW_CHUNK,
            .end = ingot_min64((chunk + 1) * INGOT_DW_CHUNK, whole->out[2]),
            .inner_begin = plan->dw.inner_begin,
            .inner_end = plan->dw.inner_end,
        };
        const int64_t pixels = row.end - row.begin;
        int64_t lines[2] = {0, whole->in[1]}, columns[2];
        row.image = pixel_at(x, batch * whole->in[1] * whole->in[2], channel);
        if (tiled) {
            const int64_t rows[2] = {first, last};
            unit_of_tiles(call, whole, &row, batch, rows, channel, &tile, own, tiles);
            continue;
        }
        if (x->dtype != INGOT_F32) {
            clip_range(whole, 1, first, last - 1, lines);
            clip_range(whole, 2, row.begin, row.end - 1, columns);
            widen_image(isa, x, batch, channel, &shape, lines, columns, image);
            row.image = image;
        }
        for (int64_t y = first; y < last; y++) {
            const int64_t pixel = (batch * whole->out[1] + y) * whole->out[2] + row.begin;
            void *to = (char *)out->data + (pixel * out->pitch + channel) * ingot_half_size(out->dtype);
            row.y0 = y * whole->stride[1] - whole->pad[1] - lines[0];
            row.out = out->dtype == INGOT_F32 ? to : result;
            shape.out_pitch = out->dtype == INGOT_F32 ? out->pitch : shape.in_channels;
            if (residual->data != NULL) {
                row.residual = residual->dtype == INGOT_F32 ? pixel_at(residual, pixel, channel) : rest;
                row.residual_pitch = residual->dtype == INGOT_F32 ? residual->pitch : shape.in_channels;
                if (residual->dtype != INGOT_F32) {
                    isa->widen(residual->dtype, pixel_at(residual, pixel, channel), residual->pitch, rest,
                               shape.in_channels, pixels, shape.in_channels);
                }
            }
            fn(&row);
            if (out->dtype != INGOT_F32) {
                isa->narrow(out->dtype, result, shape.in_channels, to, out->pitch, pixels, shape.in_channels);
            }
        }
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_conv_half_dw = {
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
    .scratch_size = dw_scratch_size,
};
