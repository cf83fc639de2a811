/* conv_s8_n16k4 by rows: tiles of neighbouring pixels, whose windows are one run for each row of the kernel. */
#include "conv_s8.h"
#include "integers.h"

enum {
    LEAST_WIDTH = 8,         /* of a row of pixels: narrower tiles are better made of several rows */
    BAND_BYTES = 256 * 1024, /* most */
    DIRECT_UNITS = 32,       /* chunks of a long row, at least: work for some threads */
    DIRECT_TILES = 8,        /* of a chunk, at most */
};

/* Whether all windows lie inside the image. */
static int is_inside(const ingot_conv_shape *s) {
    for (int i = 0; i < 3; i++) {
        const int64_t last = (s->out[i] - 1) * s->stride[i] + (s->kernel[i] - 1) * s->dilation[i];
        if (s->pad[i] != 0 || last >= s->in[i]) {
            return 0;
        }
    }
    return 1;
}

void ingot_conv_s8_plan_make(const ingot_call *call, const ingot_conv_plan *tiles, ingot_conv_s8_plan *plan) {
    const ingot_conv_s8_params *p = call->params;
    const ingot_conv_shape *s = &tiles->shape;
    plan->source = INGOT_CONV_S8_ANY;
    const int lines = p->tuning.way == INGOT_CONV_S8_LINES;
    if (!ingot_conv_s8_by_rows(call, s) || p->tuning.way == INGOT_CONV_S8_POINTERS || tiles->copy ||
        (s->out[2] < LEAST_WIDTH && !lines) ||
        !ingot_conv_band_make(s, 1, (uint8_t)p->numbers.input_zero, &plan->band)) {
        return;
    }
    const int joined = s->kernel[2] == 1 || s->in_pitch == s->in_channels;
    if (is_inside(s) && joined && s->in_channels % INGOT_S8_STEP == 0) {
        const int64_t tile = ingot_s8_tile_rows(&p->tuning),
                      part = (s->out[2] + DIRECT_UNITS * tile - 1) / (DIRECT_UNITS * tile);
        plan->source = INGOT_CONV_S8_DIRECT;
        plan->band.pixels = ingot_min64(part, DIRECT_TILES) * tile;
        plan->band.chunks = (s->out[2] + plan->band.pixels - 1) / plan->band.pixels;
    } else if (ingot_conv_band_size(&plan->band) <= BAND_BYTES) {
        plan->source = INGOT_CONV_S8_BAND;
    }
    if (ingot_conv_band_units(s, &plan->band) > UINT32_MAX / tiles->slices) {
        plan->source = INGOT_CONV_S8_ANY;
    }
}

static int64_t count_lines(const ingot_conv_shape *s) { return s->kernel[0] * s->kernel[1]; }

/* The band, where each row of a window begins for the first pixel of a strip, and for each pixel of a tile. */
static uint64_t band_bytes(const ingot_conv_s8_plan *plan) {
    return plan->source == INGOT_CONV_S8_BAND ? ingot_conv_band_size(&plan->band) : 0;
}

uint64_t ingot_conv_s8_strips_scratch_size(const ingot_conv_plan *tiles, const ingot_conv_s8_plan *plan) {
    return band_bytes(plan) + (uint64_t)count_lines(&tiles->shape) * (1 + INGOT_GEMM_MR) * sizeof(void *);
}

/* The rows of the input that a strip reads, where they lie. */
static void point_input(const ingot_conv_shape *s, const int8_t *x, const ingot_conv_strip *strip,
                        const int8_t **lines) {
    for (int64_t line = 0; line < count_lines(s); line++) {
        const int64_t z = strip->z * s->stride[0] + line / s->kernel[1] * s->dilation[0];
        const int64_t y = strip->y * s->stride[1] + line % s->kernel[1] * s->dilation[1];
        const int64_t row = (strip->batch * s->in[0] + z) * s->in[1] + y;
        lines[line] = x + (row * s->in[2] + strip->x * s->stride[2]) * s->in_pitch;
    }
}

void ingot_conv_s8_strips_run(const ingot_call *call, const ingot_conv_plan *tiles, const ingot_conv_s8_plan *plan,
                              uint32_t begin, uint32_t end, void *scratch, ingot_gemm_s8_fn fn) {
    const ingot_conv_shape *s = &tiles->shape;
    const ingot_conv_s8_params *p = call->params;
    const int64_t most = ingot_s8_tile_rows(&p->tuning);
    const int banded = plan->source == INGOT_CONV_S8_BAND;
    const int64_t strips = ingot_conv_band_units(s, &plan->band), lines = count_lines(s);
    const int64_t step = s->stride[2] * (banded ? s->in_channels : s->in_pitch);
    const int8_t **first = (const int8_t **)(void *)((char *)scratch + band_bytes(plan));
    const void **windows = (const void **)(first + lines);
    ingot_conv_s8_rows rows;
    ingot_gemm_s8 tile = {.rows = windows, .taps = lines};
    ingot_conv_s8_tile_begin(call, &rows, &tile);
    tile.steps = ingot_s8_padded(s->kernel[2] * s->in_channels) / INGOT_S8_STEP;
    if (banded) {
        ingot_conv_band_clear(&plan->band, scratch);
    }
    int64_t held = -1; /* the strip that `first` points at */
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t index = tiles->tile_major ? unit / tiles->slices : unit % strips;
        const int64_t slice = tiles->tile_major ? unit % tiles->slices : unit / strips;
        const ingot_conv_strip strip = ingot_conv_band_strip(s, &plan->band, index);
        if (index != held && banded) {
            ingot_conv_band_rows(s, &plan->band, call->in[INGOT_CONV_X].data, &strip, scratch, first);
        } else if (index != held) {
            point_input(s, call->in[INGOT_CONV_X].data, &strip, first);
        }
        held = index;
        const int64_t pixel = ((strip.batch * s->out[0] + strip.z) * s->out[1] + strip.y) * s->out[2] + strip.x;
        const int64_t parts = (strip.count + most - 1) / most;
        for (int64_t part = 0; part < parts; part++) {
            const ingot_s8_cut cut = ingot_s8_cut_rows(strip.count, most, part);
            for (int64_t line = 0; line < lines; line++) {
                const int8_t *window = first[line] + cut.first * step;
                for (int64_t r = 0; r < cut.count; r++, window += step) {
                    windows[line * INGOT_GEMM_MR + r] = window;
                }
            }
            ingot_conv_s8_tile_point(call, pixel + cut.first, cut.count, &rows, &tile);
            ingot_conv_s8_tile_run(call, tiles, 0, slice, &tile, fn);
        }
    }
}
