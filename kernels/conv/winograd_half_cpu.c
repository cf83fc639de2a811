/* conv_bf16_winograd, see winograd_half.h. A work unit is that of conv_f32_winograd. */
#include "winograd_half.h"

enum { LANES = INGOT_GEMM_NR, PIXELS = INGOT_WINOGRAD_HALF_PIXELS, POSITIONS = INGOT_WINOGRAD_HALF_POSITIONS };

/* Channels as scratch has them: whole panels. */
static int64_t padded(int64_t channels) { return (channels + LANES - 1) / LANES * LANES; }

static const char *winograd_half_check(const ingot_call *call) {
    const ingot_conv_winograd_params *p = call->params;
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape s;
    const char *reason = ingot_winograd_check(call, INGOT_BF16, &s);
    if (reason != NULL) {
        return reason;
    }
    if (p->tile != 2) {
        return "conv: tiles";
    }
    if (w->dtype != INGOT_BF16 || w->rank != 4 || w->pitch != INGOT_HALF_BLOCK || w->dims[3] != INGOT_HALF_BLOCK ||
        w->dims[0] != padded(s.out_channels) / LANES || w->dims[1] != POSITIONS ||
        w->dims[2] != ingot_half_steps(s.in_channels)) {
        return "conv: weights";
    }
    return NULL;
}

/* Scratch of a call, in floats. Where bfloat16 is multiplied the transformed inputs take half of their room, and from
 * `weights` on all is for activations that are not a clamp. */
typedef struct winograd_half_room {
    int64_t inputs, products, discard, weights, pixels, results, residuals, all;
} winograd_half_room;

static winograd_half_room room_of(const ingot_winograd_plan *plan) {
    const int64_t columns = plan->slice * LANES;
    winograd_half_room room = {.inputs = 0};
    room.products = room.inputs + POSITIONS * plan->in_stride;
    room.discard = room.products + POSITIONS * plan->product_stride;
    room.weights = room.discard + columns;
    room.pixels = room.weights + columns * INGOT_HALF_STEP * ingot_half_steps(plan->shape.in_channels);
    room.results = room.pixels + POSITIONS * padded(plan->shape.in_channels);
    room.residuals = room.results + PIXELS * columns;
    room.all = room.residuals + PIXELS * columns;
    return room;
}

static uint64_t winograd_half_scratch_size(const ingot_call *call) {
    ingot_winograd_plan plan;
    ingot_winograd_plan_make(call, &plan);
    return (uint64_t)room_of(&plan).all * sizeof(float);
}

/* A call under way, by one thread. */
typedef struct winograd_half {
    const ingot_call *call;
    const ingot_winograd_plan *plan;
    const ingot_winograd_isa *isa;
    const ingot_half_isa *half;
    const ingot_winograd_bf16 *bf16; /* NULL: operands are widened */
    float *scratch;
    winograd_half_room room;
    float lo, hi;
    const ingot_activation *activation;
} winograd_half;

static void transform_inputs(const winograd_half *w, int64_t first, int64_t count) {
    const ingot_winograd_plan *plan = w->plan;
    const ingot_conv_shape *s = &plan->shape;
    const uint16_t *pixels[POSITIONS], *const zeros = (const uint16_t *)(const void *)plan->zeros;
    const int64_t channels = s->in_channels, line = s->in[2] * s->in_pitch;
    float *to = w->scratch + w->room.inputs, *wide = w->scratch + w->room.pixels;
    for (int64_t t = 0; t < count; t++) {
        const ingot_winograd_tile tile = ingot_winograd_tile_at(plan, first + t);
        const uint16_t *image = (const uint16_t *)w->call->in[INGOT_CONV_X].data + tile.image * s->in[1] * line;
        const int64_t y0 = tile.y - s->pad[1], x0 = tile.x - s->pad[2];
        for (int64_t y = 0; y < 4; y++) {
            const int inside = y0 + y >= 0 && y0 + y < s->in[1];
            for (int64_t x = 0; x < 4; x++) {
                const int here = inside && x0 + x >= 0 && x0 + x < s->in[2];
                pixels[y * 4 + x] = here ? image + (y0 + y) * line + (x0 + x) * s->in_pitch : zeros;
            }
        }
        if (w->bf16 != NULL) {
            uint16_t *rounded = (uint16_t *)(void *)to + t * plan->in_pitch;
            w->bf16->input(pixels, channels, rounded, plan->in_stride);
            continue;
        }
        const float *floats[POSITIONS];
        for (int64_t i = 0; i < POSITIONS; i++) {
            float *pixel = wide + i * padded(channels);
            w->half->widen(INGOT_BF16, pixels[i], 0, pixel, 0, 1, channels);
            memset(pixel + channels, 0, (size_t)(padded(channels) - channels) * sizeof *pixel);
            floats[i] = pixel;
        }
        w->isa->input[0](floats, padded(channels), to + t * plan->in_pitch, plan->in_stride);
    }
}

/* Rows of transformed inputs with `panels` of the weights of a position, bfloat16 both. */
static void multiply_rounded(const winograd_half *w, const uint16_t *weights, int64_t position, int64_t row, int32_t mr,
                             int64_t panels) {
    const ingot_winograd_plan *plan = w->plan;
    const int64_t steps = ingot_half_steps(plan->shape.in_channels);
    const uint16_t *inputs = (const uint16_t *)(const void *)(w->scratch + w->room.inputs);
    const void *rows[INGOT_GEMM_MR];
    for (int32_t r = 0; r < mr; r++) {
        rows[r] = inputs + position * plan->in_stride + (row + r) * plan->in_pitch;
    }
    const ingot_half_sums tile = {
        .rows = rows,
        .taps = 1,
        .steps = steps,
        .weights = weights,
        .panel_stride = POSITIONS * steps * INGOT_HALF_BLOCK,
        .panels = panels,
        .sums = w->scratch + w->room.products + position * plan->product_stride + row * plan->product_pitch,
        .pitch = plan->product_pitch,
        .mr = mr,
        .dtype = INGOT_BF16,
    };
    w->bf16->dot->tile(&tile);
}

/* The same of floats, with widened weights. */
static void multiply_wide(const winograd_half *w, int64_t position, int64_t row, int32_t mr, int64_t panels) {
    const ingot_winograd_plan *plan = w->plan;
    const ingot_activation none = {.kind = INGOT_ACT_NONE};
    const float *inputs = w->scratch + w->room.inputs;
    float *products = w->scratch + w->room.products;
    const void *rows[INGOT_GEMM_MR];
    float *out[INGOT_GEMM_MR];
    for (int32_t r = 0; r < mr; r++) {
        rows[r] = inputs + position * plan->in_stride + (row + r) * plan->in_pitch;
        out[r] = products + position * plan->product_stride + (row + r) * plan->product_pitch;
    }
    ingot_gemm_f32 tile = {
        .rows = rows,
        .taps = 1,
        .length = plan->shape.in_channels,
        .weights = w->scratch + w->room.weights,
        .panel_stride = ingot_half_steps(plan->shape.in_channels) * INGOT_HALF_BLOCK,
        .out = out,
        .columns = panels * LANES,
        .mr = mr,
    };
    ingot_gemm_f32_activation(&tile, &none);
    w->isa->gemm->tile(&tile);
}

static void multiply(const winograd_half *w, const uint16_t *weights, int64_t count, int64_t panels) {
    const int64_t steps = ingot_half_steps(w->plan->shape.in_channels), block = steps * INGOT_HALF_BLOCK;
    const int64_t parts = (count + INGOT_GEMM_MR - 1) / INGOT_GEMM_MR;
    for (int64_t position = 0; position < POSITIONS; position++, weights += block) {
        for (int64_t panel = 0; panel < panels && w->bf16 == NULL; panel++) {
            w->half->weights(INGOT_BF16, weights + panel * POSITIONS * block, steps,
                             w->scratch + w->room.weights + panel * block);
        }
        for (int64_t part = 0, row = 0; part < parts; part++) {
            const int32_t mr = (int32_t)((count - row) / (parts - part));
            if (w->bf16 != NULL) {
                multiply_rounded(w, weights, position, row, mr, panels);
            } else {
                multiply_wide(w, position, row, mr, panels);
            }
            row += mr;
        }
    }
}

/* The results of a tile by way of floats, for whole panels; `columns` of them are results. */
static void output_wide(const winograd_half *w, const ingot_winograd_half_output *t) {
    const int64_t pitch = padded(t->columns), bytes = (pitch - t->columns) * (int64_t)sizeof(float);
    float *out[PIXELS], *residuals = w->scratch + w->room.residuals, bias[LANES] = {0};
    const float *residual[PIXELS];
    for (int64_t i = 0; i < PIXELS; i++) {
        out[i] = w->scratch + w->room.results + i * pitch;
        residual[i] = residuals + i * pitch;
        if (t->residual != NULL) {
            w->half->widen(INGOT_BF16, t->residual[i], 0, residuals + i * pitch, 0, 1, t->columns);
            memset(residuals + i * pitch + t->columns, 0, (size_t)bytes);
        }
    }
    for (int64_t c = 0; c < t->columns; c += LANES) {
        const int64_t left = t->columns - c, n = left < LANES ? left : LANES;
        float *to[PIXELS];
        const float *from[PIXELS];
        for (int64_t i = 0; i < PIXELS; i++) {
            to[i] = out[i] + c;
            from[i] = residual[i] + c;
        }
        if (t->bias != NULL) {
            memcpy(bias, t->bias + c, (size_t)n * sizeof *bias);
        }
        const ingot_winograd_output panel = {
            .from = t->from + c,
            .stride = t->stride,
            .columns = LANES,
            .bias = bias,
            .out = to,
            .residual = t->residual != NULL ? from : NULL,
            .lo = t->lo,
            .hi = t->hi,
        };
        w->isa->output[0](&panel);
    }
    for (int64_t i = 0; i < PIXELS; i++) {
        if (w->activation != NULL) {
            w->isa->gemm->activate(w->activation, out[i], t->columns);
        }
        w->half->narrow(INGOT_BF16, out[i], 0, t->out[i], 0, 1, t->columns);
    }
}

/* Transforms the products of `count` tiles to results: `columns` of them from `column` on. */
static void transform_outputs(const winograd_half *w, int64_t first, int64_t count, int64_t column, int64_t columns) {
    const ingot_winograd_plan *plan = w->plan;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_arg *bias = &w->call->in[INGOT_CONV_BIAS], *residual = &w->call->in[INGOT_CONV_RESIDUAL];
    uint16_t *out[PIXELS], *discard = (uint16_t *)(void *)(w->scratch + w->room.discard);
    const uint16_t *residuals[PIXELS];
    ingot_winograd_half_output tile = {
        .stride = plan->product_stride,
        .columns = columns,
        .bias = bias->data != NULL ? (const float *)bias->data + column : NULL,
        .out = out,
        .residual = residual->data != NULL ? residuals : NULL,
        .lo = w->lo,
        .hi = w->hi,
    };
    for (int64_t t = 0; t < count; t++) {
        const ingot_winograd_tile at = ingot_winograd_tile_at(plan, first + t);
        for (int64_t i = 0; i < PIXELS; i++) {
            const int64_t y = at.y + i / 2, x = at.x + i % 2, pixel = (at.image * s->out[1] + y) * s->out[2] + x;
            const int inside = y < s->out[1] && x < s->out[2];
            out[i] = inside ? (uint16_t *)w->call->out[0].data + pixel * s->out_pitch + column : discard;
            if (tile.residual != NULL) {
                residuals[i] = inside ? (const uint16_t *)residual->data + pixel * residual->pitch + column : discard;
            }
        }
        tile.from = w->scratch + w->room.products + t * plan->product_pitch;
        if (w->bf16 != NULL && w->activation == NULL) {
            w->bf16->output(&tile);
        } else {
            output_wide(w, &tile);
        }
    }
}

int ingot_conv_winograd_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                                 const ingot_winograd_isa *isa, const ingot_half_isa *half,
                                 const ingot_winograd_bf16 *bf16) {
    const ingot_winograd_plan *plan = call->state;
    const ingot_conv_winograd_params *params = call->params;
    const int64_t panel_size = POSITIONS * ingot_half_steps(plan->shape.in_channels) * INGOT_HALF_BLOCK;
    winograd_half w = {.call = call, .plan = plan, .isa = isa, .half = half, .bf16 = bf16, .scratch = scratch};
    int64_t transformed = -1, first = 0, count = 0;
    ingot_gemm_f32 clamp;
    ingot_gemm_f32_activation(&clamp, &params->conv.activation);
    w.room = room_of(plan);
    w.lo = clamp.lo;
    w.hi = clamp.hi;
    w.activation = clamp.activation;
    memset(w.scratch + w.room.discard, 0, (size_t)(plan->slice * LANES) * sizeof(float));
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t block = unit / plan->slices, panel = unit % plan->slices * plan->slice;
        const int64_t left = plan->panels - panel, panels = left < plan->slice ? left : plan->slice;
        const int64_t columns = plan->shape.out_channels - panel * LANES;
        if (block != transformed) {
            first = ingot_winograd_block(plan, block, &count);
            transform_inputs(&w, first, count);
            transformed = block;
        }
        multiply(&w, (const uint16_t *)call->in[INGOT_CONV_W].data + panel * panel_size, count, panels);
        transform_outputs(&w, first, count, panel * LANES, columns < panels * LANES ? columns : panels * LANES);
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(conv_bf16_winograd) {
    return ingot_conv_winograd_half_run(call, begin, end, scratch, &ingot_winograd__portable, &ingot_half__portable,
                                        NULL);
}

const ingot_family ingot_family_conv_bf16_winograd = {
    .params_size = sizeof(ingot_conv_winograd_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = winograd_half_check,
    .units = ingot_winograd_units,
    .state_size = ingot_winograd_state_size,
    .prepare = ingot_winograd_prepare,
    .scratch_size = winograd_half_scratch_size,
};
