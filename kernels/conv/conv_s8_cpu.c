/* conv_s8_n16k4: INT8 convolution, exact on every instruction set. */
#include "conv_s8.h"

const char *ingot_conv_s8_operands_check(const ingot_call *call) {
    const ingot_conv_s8_params *p = call->params;
    const ingot_arg *out = &call->out[0];
    const uint8_t bias = ingot_s8_bias_type(&call->in[INGOT_CONV_BIAS]);
    const char *reason = ingot_conv_types_check(call, INGOT_I8, out->dtype, INGOT_I8, bias);
    if (reason != NULL) {
        return reason;
    }
    if (call->in[INGOT_CONV_W].dtype != INGOT_I8 || (out->dtype != INGOT_I8 && out->dtype != INGOT_F32)) {
        return "conv: element type";
    }
    const int64_t channels = out->dims[out->rank - 1];
    if (!ingot_s8_vector_valid(&call->in[INGOT_CONV_SUMS], INGOT_I32, channels) ||
        !ingot_s8_vector_valid(&call->in[INGOT_CONV_SCALE], INGOT_F32, channels)) {
        return "conv: sums or scale";
    }
    return ingot_s8_numbers_valid(&p->numbers, &p->conv.activation) ? NULL : "conv: quantisation";
}

/* Bytes of what is taken as one, and of a window in the order of the weights. */
static int64_t run_bytes(const ingot_call *call, const ingot_conv_shape *s) {
    return (ingot_conv_s8_by_rows(call, s) ? s->kernel[2] : s->taps) * s->group_in;
}

static int64_t window_bytes(const ingot_call *call, const ingot_conv_shape *s) {
    const int64_t run = run_bytes(call, s);
    return s->taps * s->group_in / run * ingot_s8_padded(run);
}

/* Parts of the weights, which are taps that read the same pixel; the first axis goes through them. */
static int64_t count_parts(const ingot_conv_shape *s) { return s->dilation[0] == 0 ? s->kernel[0] : 1; }

static const char *conv_check(const ingot_call *call) {
    const ingot_conv_s8_params *p = call->params;
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape s;
    const char *reason = ingot_conv_s8_operands_check(call);
    if (reason != NULL) {
        return reason;
    }
    if (!ingot_s8_tuning_valid(&p->tuning, INGOT_CONV_S8_WINDOWS + 1)) {
        return "conv: tuning";
    }
    if (w->rank != 3 || w->count < 1 || w->pitch != INGOT_S8_BLOCK || w->dims[2] != INGOT_S8_BLOCK) {
        return "conv: weights";
    }
    reason = ingot_conv_shape_check_from(call, ingot_conv_count_taps(&p->conv, w->count), 0, &s);
    if (reason != NULL) {
        return reason;
    }
    const int64_t panels = (s.group_out + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR, steps = w->dims[1];
    if (w->dims[0] % s.groups != 0 || w->dims[0] / s.groups != panels || s.group_in > w->count ||
        s.taps > w->count / s.group_in || window_bytes(call, &s) != steps * INGOT_S8_STEP) {
        return "conv: weights";
    }
    if (count_parts(&s) > 1 && w->storage != INGOT_STORAGE_CONSTANT) {
        return "conv: weights in parts are not constants"; /* prepare looks at them */
    }
    const int64_t pixels = call->out[0].count / s.out_channels;
    const int fit = pixels / ingot_s8_tile_rows(&p->tuning) + 1 <= UINT32_MAX / w->dims[0];
    return fit ? NULL : "conv: too many work units";
}

/* Channels that do not come in fours are brought side by side for a whole window. */
static int is_gathered(const ingot_call *call, const ingot_conv_plan *plan) {
    const ingot_conv_s8_params *p = call->params;
    return plan->shape.group_in % INGOT_S8_STEP != 0 || p->tuning.way == INGOT_CONV_S8_WINDOWS;
}

static void plan_make(const ingot_call *call, ingot_conv_plan *tiles, ingot_conv_s8_plan *plan) {
    const ingot_conv_s8_params *p = call->params;
    const int64_t rows = ingot_s8_tile_rows(&p->tuning), slice = p->tuning.slice;
    ingot_conv_plan_make(call, 1, 1, (uint8_t)p->numbers.input_zero, tiles);
    ingot_conv_plan_cut(tiles, rows, slice > 0 ? slice : tiles->slice_panels, tiles->tile_major);
    ingot_conv_s8_plan_make(call, tiles, plan);
}

static uint32_t conv_units(const ingot_call *call) {
    ingot_conv_plan tiles;
    ingot_conv_s8_plan plan;
    plan_make(call, &tiles, &plan);
    return plan.source == INGOT_CONV_S8_ANY
               ? ingot_conv_plan_units(&tiles)
               : (uint32_t)(ingot_conv_band_units(&tiles.shape, &plan.band) * tiles.slices);
}

/* The plan, then that of the tiles with its padding. */
enum { PLAN_BYTES = (sizeof(ingot_conv_s8_plan) + 63) / 64 * 64 };

static const ingot_conv_plan *tiles_of(const ingot_call *call) {
    return (const ingot_conv_plan *)(const void *)((const char *)call->state + PLAN_BYTES);
}

/* Behind both and the padding stands for each panel whether it has weights in other parts than the first. */
static uint64_t conv_state_size(const ingot_call *call) {
    ingot_conv_plan tiles;
    ingot_conv_s8_plan plan;
    plan_make(call, &tiles, &plan);
    return PLAN_BYTES + ingot_conv_plan_state_size(&tiles) + (uint64_t)call->in[INGOT_CONV_W].dims[0];
}

/* Steps of the first part. */
static int64_t first_steps(const ingot_call *call, const ingot_conv_shape *s) {
    const int64_t parts = count_parts(s), whole = s->taps / parts * s->group_in;
    const int64_t bytes = ingot_conv_s8_by_rows(call, s) ? window_bytes(call, s) / parts : whole;
    return ingot_s8_padded(bytes) / INGOT_S8_STEP;
}

static void conv_prepare(const ingot_call *call) {
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_plan *tiles = (ingot_conv_plan *)(void *)((char *)call->state + PLAN_BYTES);
    plan_make(call, tiles, call->state);
    uint8_t *flags = tiles->padding + tiles->padding_bytes;
    memset(tiles->padding, tiles->fill, (size_t)tiles->padding_bytes);
    memset(flags, 1, (size_t)w->dims[0]);
    if (count_parts(&tiles->shape) == 1 || w->data == NULL) {
        return;
    }
    const int8_t *panel = w->data;
    for (int64_t p = 0; p < w->dims[0]; p++, panel += w->dims[1] * INGOT_S8_BLOCK) {
        uint8_t any = 0;
        for (int64_t i = first_steps(call, &tiles->shape) * INGOT_S8_BLOCK; i < w->dims[1] * INGOT_S8_BLOCK; i++) {
            any |= (uint8_t)panel[i];
        }
        flags[p] = any != 0;
    }
}

static uint64_t conv_scratch_size(const ingot_call *call) {
    ingot_conv_plan tiles;
    ingot_conv_s8_plan plan;
    plan_make(call, &tiles, &plan);
    if (plan.source != INGOT_CONV_S8_ANY) {
        return ingot_conv_s8_strips_scratch_size(&tiles, &plan);
    }
    const int64_t window = is_gathered(call, &tiles) ? window_bytes(call, &tiles.shape) : 0;
    return ingot_conv_plan_scratch_size(&tiles) + (uint64_t)window * INGOT_GEMM_MR;
}

/* Writes out the windows of a tile, one after the other, in runs of `run` bytes, and points at them. */
static void gather(const ingot_conv_tile *at, int64_t run, int8_t *to, const void **windows) {
    for (int64_t r = 0; r < at->count; r++) {
        int8_t *begin = to;
        windows[r] = to;
        for (int64_t tap = 0; tap < at->taps; tap++) {
            to = ingot_s8_copy(to, at->rows[tap * INGOT_GEMM_MR + r], at->length);
            if (to - begin == run) {
                for (begin += ingot_s8_padded(run); to < begin; to++) {
                    *to = 0;
                }
            }
        }
    }
}

void ingot_conv_s8_tile_begin(const ingot_call *call, ingot_conv_s8_rows *rows, ingot_gemm_s8 *tile) {
    const ingot_conv_s8_params *p = call->params;
    tile->panel_stride = call->in[INGOT_CONV_W].dims[1] * INGOT_S8_BLOCK;
    tile->out = rows->out;
    tile->residual = call->in[INGOT_CONV_RESIDUAL].data != NULL ? rows->residual : NULL;
    tile->sums = call->in[INGOT_CONV_SUMS].data;
    tile->scale = call->in[INGOT_CONV_SCALE].data;
    ingot_gemm_s8_set_bias(&call->in[INGOT_CONV_BIAS], tile);
    ingot_gemm_s8_describe(&p->numbers, &p->conv.activation, &call->out[0], tile);
}

void ingot_conv_s8_tile_point(const ingot_call *call, int64_t pixel, int64_t count, ingot_conv_s8_rows *rows,
                              ingot_gemm_s8 *tile) {
    const ingot_arg *out = &call->out[0], *residual = &call->in[INGOT_CONV_RESIDUAL];
    const int64_t element = tile->float_out ? (int64_t)sizeof(float) : 1;
    for (int64_t r = 0; r < count; r++) {
        rows->out[r] = (char *)out->data + (pixel + r) * out->pitch * element;
        if (residual->data != NULL) {
            rows->residual[r] = (const int8_t *)residual->data + (pixel + r) * residual->pitch;
        }
    }
    tile->mr = (int32_t)count;
}

void ingot_conv_s8_tile_run(const ingot_call *call, const ingot_conv_plan *tiles, int64_t group, int64_t slice,
                            ingot_gemm_s8 *tile, ingot_gemm_s8_fn fn) {
    const ingot_conv_shape *s = &tiles->shape;
    const uint8_t *flags = tiles->padding + tiles->padding_bytes + group * tiles->panels;
    const int8_t *weights = (const int8_t *)call->in[INGOT_CONV_W].data + group * tiles->panels * tile->panel_stride;
    const int64_t end = (slice + 1) * tiles->slice_panels, last = end < tiles->panels ? end : tiles->panels;
    const int64_t taps = tile->taps, steps = tile->steps;
    for (int64_t panel = slice * tiles->slice_panels, next; panel < last; panel = next) {
        next = panel + 1;
        while (next < last && flags[next] == flags[panel]) {
            next++;
        }
        const int64_t left = s->group_out - panel * INGOT_GEMM_NR, wide = (next - panel) * INGOT_GEMM_NR;
        if (!flags[panel]) { /* the first part is all there is */
            tile->taps = taps == 1 ? 1 : taps / count_parts(s);
            tile->steps = taps == 1 ? first_steps(call, s) : steps;
        }
        tile->column = group * s->group_out + panel * INGOT_GEMM_NR;
        tile->columns = left < wide ? left : wide;
        tile->weights = weights + panel * tile->panel_stride;
        fn(tile);
        tile->taps = taps;
        tile->steps = steps;
    }
}

static void tiles_run(const ingot_call *call, const ingot_conv_plan *tiles, uint32_t begin, uint32_t end, void *scratch,
                      ingot_gemm_s8_fn fn) {
    const void *windows[INGOT_GEMM_MR];
    int8_t *gathered = (int8_t *)scratch + ingot_conv_plan_scratch_size(tiles);
    ingot_conv_s8_rows rows;
    int64_t pointed_tile = -1, pointed_group = -1;
    ingot_gemm_s8 tile = {0};
    ingot_conv_s8_tile_begin(call, &rows, &tile);
    ingot_conv_unit unit = ingot_conv_unit_at(tiles, begin);
    for (uint32_t i = begin; i < end; i++, ingot_conv_unit_next(tiles, &unit)) {
        if (unit.tile != pointed_tile || unit.group != pointed_group) {
            ingot_conv_tile at;
            ingot_conv_point(tiles, call->in[INGOT_CONV_X].data, unit.tile, unit.group, scratch, &at);
            ingot_conv_s8_tile_point(call, at.pixel, at.count, &rows, &tile);
            tile.rows = at.rows;
            tile.taps = at.taps;
            tile.steps = at.length / INGOT_S8_STEP;
            if (is_gathered(call, tiles)) {
                gather(&at, run_bytes(call, &tiles->shape), gathered, windows);
                tile.rows = windows;
                tile.taps = 1;
                tile.steps = call->in[INGOT_CONV_W].dims[1];
            }
            pointed_tile = unit.tile;
            pointed_group = unit.group;
        }
        ingot_conv_s8_tile_run(call, tiles, unit.group, unit.slice, &tile, fn);
    }
}

int ingot_conv_s8_n16k4_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, ingot_gemm_s8_fn fn) {
    const ingot_conv_s8_plan *plan = call->state;
    if (begin < end && plan->source == INGOT_CONV_S8_ANY) {
        tiles_run(call, tiles_of(call), begin, end, scratch, fn);
    } else if (begin < end) {
        ingot_conv_s8_strips_run(call, tiles_of(call), plan, begin, end, scratch, fn);
    }
    return INGOT_KERNEL_OK;
}

INGOT_CONV_S8_KERNEL

const ingot_family ingot_family_conv_s8_n16k4 = {
    .params_size = sizeof(ingot_conv_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 6,
    .in_max = 6,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = conv_check,
    .units = conv_units,
    .state_size = conv_state_size,
    .prepare = conv_prepare,
    .scratch_size = conv_scratch_size,
};
