/* image_conv_f32_n16, image_conv_f16_n16, image_conv_bf16_n16k2: the first convolution of a network, of an image as it
 * comes.
 *
 * A work unit is a line of the result. The lines of the image that its windows cover are brought into scratch, channels
 * last, with the padding to their left and right in place: rows of the same products that conv_f32_n16 and conv_half
 * make, at the same distances everywhere. A line stays there while the windows move down. Where products are of half, a
 * pixel has an even number of channels, the last of them zero where the image has one less, so that a pair never lies
 * in two runs.
 *
 * weights: those of conv_f32_n16, or of conv_half for so many channels. */
#include "conv/conv_f32.h"
#include "conv/conv_half.h"
#include "conv/conv_shape.h"
#include "image_conv.h"
#include "image_conv_impl.h"
#include "integers.h"

#include <string.h>

enum { X, W, BIAS };

typedef struct image_plan {
    ingot_conv_shape shape;        /* channels last, of so many as a pixel in scratch has */
    int64_t channels;              /* of the image */
    int64_t tiles, pixels, longer; /* of a line of the result; the first `longer` tiles have one pixel more */
    int64_t panels, slice_panels, slices;
    int64_t columns;                       /* of the image, that the windows of a line cover */
    int64_t element, line_bytes;           /* in scratch */
    uint64_t band_at, planes_at, tiles_at; /* in scratch, which begins with what each line of the band holds */
    uint64_t size;                         /* of scratch, but for what products of half need */
    uint8_t dtype;                         /* in scratch */
} image_plan;

/* The convolution of the image channels last, `pitch` of them. */
static ingot_call channels_last(const ingot_call *call, int64_t pitch, ingot_arg *in) {
    const ingot_image_conv_params *p = call->params;
    const ingot_arg *x = &call->in[X];
    ingot_arg *last = &in[INGOT_CONV_X];
    *last = *x;
    last->dims[1] = x->dims[2];
    last->dims[2] = x->dims[3];
    last->dims[3] = last->pitch = pitch;
    in[INGOT_CONV_W] = call->in[W];
    in[INGOT_CONV_BIAS] = call->in[BIAS];
    in[INGOT_CONV_RESIDUAL] = (ingot_arg){.dtype = INGOT_DTYPE_NONE};
    return (ingot_call){.in = in, .out = call->out, .in_count = 4, .out_count = 1, .params = &p->conv};
}

static int64_t even(int64_t channels) { return (channels + 1) / 2 * 2; }

static const char *image_check(const ingot_call *call, int64_t pitch, const ingot_family *family) {
    const ingot_image_conv_params *p = call->params;
    const ingot_arg *x = &call->in[X], *out = &call->out[0];
    ingot_arg in[4];
    if (x->rank != 4 || out->rank != 4) {
        return "image_conv: rank";
    }
    if (x->dims[1] < 1 || x->dims[1] > INGOT_IMAGE_CHANNELS || x->dims[3] > INT32_MAX) {
        return "image_conv: channels or extent";
    }
    if (!ingot_image_conv_plain(&p->conv) || p->conv.kernel[1] > INGOT_IMAGE_MOST_TAPS || p->reserved != 0) {
        return "image_conv: not two spatial axes without groups and dilation";
    }
    const ingot_call conv = channels_last(call, pitch, in);
    const char *reason = family->check(&conv);
    if (reason == NULL && out->dims[0] > 0 && out->dims[1] > UINT32_MAX / out->dims[0]) {
        reason = "image_conv: too many work units";
    }
    return reason;
}

static const char *f32_check(const ingot_call *call) {
    return image_check(call, call->in[X].dims[1], &ingot_family_conv_f32_n16);
}

static const char *half_check(const ingot_call *call) {
    return image_check(call, even(call->in[X].dims[1]), &ingot_family_conv_half);
}

static uint64_t aligned(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

/* `dtype` and `pitch` of pixels in scratch. */
static void plan_make(const ingot_call *call, uint8_t dtype, int64_t pitch, image_plan *plan) {
    ingot_arg in[4];
    const ingot_call conv = channels_last(call, pitch, in);
    ingot_conv_shape *s = &plan->shape;
    ingot_conv_shape_read(&conv, s);
    s->taps = s->kernel[1] * s->kernel[2];
    plan->channels = call->in[X].dims[1];
    plan->dtype = dtype;
    plan->element = ingot_half_size(dtype);
    plan->tiles = ingot_ceil_div(s->out[2], INGOT_GEMM_MR);
    plan->pixels = plan->tiles > 0 ? s->out[2] / plan->tiles : 0;
    plan->longer = s->out[2] - plan->pixels * plan->tiles;
    plan->panels = ingot_ceil_div(s->out_channels, INGOT_GEMM_NR);
    plan->slice_panels = ingot_gemm_slice(plan->panels, s->taps * pitch * INGOT_GEMM_NR * (int64_t)sizeof(float));
    plan->slices = ingot_ceil_div(plan->panels, plan->slice_panels);
    plan->columns = (ingot_max64(s->out[2], 1) - 1) * s->stride[2] + s->kernel[2];
    plan->line_bytes = (int64_t)aligned((uint64_t)(plan->columns * pitch * plan->element));
    const uint64_t lines = (uint64_t)s->kernel[1], plane = aligned((uint64_t)(s->in[2] * plan->element));
    plan->band_at = aligned(lines * sizeof(int64_t));
    plan->planes_at = plan->band_at + (lines + 1) * (uint64_t)plan->line_bytes; /* the last one is zeros */
    plan->tiles_at = plan->planes_at + (INGOT_IMAGE_CHANNELS + 1) * plane;      /* here too */
    plan->size = plan->tiles_at + aligned(lines * INGOT_GEMM_MR * sizeof(void *));
}

static void f32_plan(const ingot_call *call, image_plan *plan) {
    plan_make(call, INGOT_F32, call->in[X].dims[1], plan);
}

/* Scratch has floats where the processor has no products of bfloat16: room is for these. */
static void half_plan(const ingot_call *call, uint8_t dtype, image_plan *plan) {
    plan_make(call, dtype, even(call->in[X].dims[1]), plan);
}

static uint64_t f32_state_size(const ingot_call *call) {
    (void)call;
    return sizeof(image_plan);
}

static void f32_prepare(const ingot_call *call) { f32_plan(call, call->state); }

/* By whether the processor has products of bfloat16: only the kernel that runs knows. */
static uint64_t half_state_size(const ingot_call *call) {
    (void)call;
    return 2 * sizeof(image_plan);
}

static void half_prepare(const ingot_call *call) {
    image_plan *plans = call->state;
    half_plan(call, INGOT_F32, &plans[0]);
    half_plan(call, INGOT_BF16, &plans[1]);
}

static ingot_half_cut half_cut(const image_plan *plan, const ingot_call *call) {
    const int64_t depth = plan->shape.taps * plan->shape.in_channels;
    return (ingot_half_cut){
        .depth = depth,
        .run = INGOT_HALF_ROUNDED_RUN, /* lines are rounded once, whatever their windows have */
        .slice_panels = plan->slice_panels,
        .slices = plan->slices,
        .keeps = call->in[W].count * (int64_t)sizeof(float) <= INGOT_GEMM_CACHED,
    };
}

static uint32_t image_units(const ingot_call *call) { return (uint32_t)(call->out[0].dims[0] * call->out[0].dims[1]); }

static uint64_t f32_scratch_size(const ingot_call *call) {
    image_plan plan;
    f32_plan(call, &plan);
    return plan.size;
}

static uint64_t half_scratch_size(const ingot_call *call) {
    image_plan plan;
    half_plan(call, INGOT_F32, &plan);
    const ingot_half_cut cut = half_cut(&plan, call);
    return plan.size + ingot_half_scratch_size(&cut);
}

/* The lines in scratch: none is there, and what is never filled in is zero. */
static void band_begin(const image_plan *plan, void *scratch) {
    int64_t *held = scratch;
    for (int64_t i = 0; i < plan->shape.kernel[1]; i++) {
        held[i] = -1;
    }
    memset((char *)scratch + plan->band_at, 0, plan->tiles_at - plan->band_at);
}

/* A row of a plane as it is stored in scratch. */
static const void *plane_row(const image_plan *plan, const ingot_arg *x, int64_t row, char *to,
                             const ingot_half_isa *isa) {
    const char *from = (const char *)x->data + row * x->pitch * ingot_half_size(x->dtype);
    if (x->dtype == plan->dtype) {
        return from;
    }
    if (plan->dtype == INGOT_F32) {
        isa->widen(x->dtype, (const uint16_t *)(const void *)from, 0, (float *)(void *)to, 0, 1, plan->shape.in[2]);
    } else {
        isa->narrow(plan->dtype, (const float *)(const void *)from, 0, (uint16_t *)(void *)to, 0, 1, plan->shape.in[2]);
    }
    return to;
}

/* Brings line y of an image into scratch. */
static void band_fill(const image_plan *plan, const ingot_arg *x, int64_t image, int64_t y, char *scratch, char *line,
                      const ingot_image_isa *isa) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t plane = (int64_t)aligned((uint64_t)(s->in[2] * plan->element));
    char *planes = scratch + plan->planes_at;
    ingot_image_line task = {
        .pitch = s->in_channels,
        .count = ingot_min64(s->in[2], plan->columns - s->pad[2]),
        .to = line + s->pad[2] * s->in_channels * plan->element,
    };
    for (int64_t c = 0; c < INGOT_IMAGE_CHANNELS; c++) {
        task.planes[c] = c < plan->channels ? plane_row(plan, x, (image * plan->channels + c) * s->in[1] + y,
                                                        planes + c * plane, isa->half)
                                            : planes + INGOT_IMAGE_CHANNELS * plane;
    }
    if (task.count > 0) {
        (plan->element == 4 ? isa->joins->f32 : isa->joins->half)(&task);
    }
}

/* The lines that the windows of a unit cover: where tile rows begin. */
static void unit_lines(const image_plan *plan, const ingot_arg *x, uint32_t unit, char *scratch, const char **lines,
                       const ingot_image_isa *isa) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t image = unit / s->out[1], first = unit % s->out[1] * s->stride[1] - s->pad[1];
    int64_t *held = (int64_t *)(void *)scratch;
    char *band = scratch + plan->band_at;
    for (int64_t y = first; y < first + s->kernel[1]; y++, lines += INGOT_GEMM_MR) {
        if (y < 0 || y >= s->in[1]) {
            *lines = band + s->kernel[1] * plan->line_bytes;
            continue;
        }
        const int64_t slot = y % s->kernel[1], row = image * s->in[1] + y;
        char *line = band + slot * plan->line_bytes;
        if (held[slot] != row) {
            band_fill(plan, x, image, y, scratch, line, isa);
            held[slot] = row;
        }
        *lines = line;
    }
}

/* A tile of a unit's pixels. */
typedef struct image_tile {
    int64_t first, count;
} image_tile;

static image_tile tile_at(const image_plan *plan, int64_t index) {
    return (image_tile){
        .first = index * plan->pixels + ingot_min64(index, plan->longer),
        .count = plan->pixels + (index < plan->longer),
    };
}

/* Points its rows at their windows; the first row of each line stands where the line does, and goes on from there when
 * `moved` pixels further. */
static void point_rows(const image_plan *plan, const image_tile *tile, int64_t moved, const char **rows) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t step = s->stride[2] * s->in_channels * plan->element;
    for (int64_t line = 0; line < s->kernel[1]; line++, rows += INGOT_GEMM_MR) {
        const char *at = rows[0] + moved * step;
        for (int64_t r = 0; r < tile->count; r++, at += step) {
            rows[r] = at;
        }
    }
}

int ingot_image_conv_f32_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                             const ingot_image_isa *isa) {
    const ingot_image_conv_params *p = call->params;
    const image_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const char **rows = (const char **)(void *)((char *)scratch + plan->tiles_at);
    float *out_rows[INGOT_GEMM_MR];
    ingot_gemm_f32 tile = {
        .rows = (const void *const *)rows,
        .taps = s->kernel[1],
        .length = s->kernel[2] * s->in_channels,
        .panel_stride = s->taps * s->in_channels * INGOT_GEMM_NR,
        .out = out_rows,
        .bias = call->in[BIAS].data,
    };
    ingot_gemm_f32_activation(&tile, &p->conv.activation);
    band_begin(plan, scratch);
    for (uint32_t unit = begin; unit < end; unit++) {
        for (int64_t slice = 0; slice < plan->slices; slice++) {
            const int64_t panel = slice * plan->slice_panels;
            tile.column = panel * INGOT_GEMM_NR;
            tile.columns = ingot_min64(s->out_channels - tile.column, plan->slice_panels * INGOT_GEMM_NR);
            tile.weights = (const float *)call->in[W].data + panel * tile.panel_stride;
            unit_lines(plan, &call->in[X], unit, scratch, rows, isa);
            for (int64_t i = 0, done = 0; i < plan->tiles; i++) {
                const image_tile at = tile_at(plan, i);
                point_rows(plan, &at, at.first - done, rows);
                done = at.first;
                float *to = (float *)call->out[0].data + (unit * s->out[2] + at.first) * s->out_pitch;
                for (int64_t r = 0; r < at.count; r++, to += s->out_pitch) {
                    out_rows[r] = to;
                }
                tile.mr = (int32_t)at.count;
                isa->half->f32->tile(&tile);
            }
        }
    }
    return INGOT_KERNEL_OK;
}

int ingot_image_conv_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                              const ingot_image_isa *isa) {
    const ingot_image_conv_params *p = call->params;
    ingot_arg in[4];
    const image_plan *plan = (const image_plan *)call->state + (isa->dot != NULL);
    const ingot_conv_shape *s = &plan->shape;
    const ingot_half_cut cut = half_cut(plan, call);
    const ingot_call conv = channels_last(call, s->in_channels, in);
    const char **rows = (const char **)(void *)((char *)scratch + plan->tiles_at);
    ingot_half_call half;
    in[INGOT_CONV_X].dtype = plan->dtype;
    ingot_half_begin(&half, isa->half, isa->dot, &conv, &p->conv.activation, &cut, (char *)scratch + plan->size);
    band_begin(plan, scratch);
    for (uint32_t unit = begin; unit < end; unit++) {
        for (int64_t slice = 0; slice < plan->slices; slice++) {
            const int64_t panel = slice * plan->slice_panels, column = panel * INGOT_GEMM_NR;
            const int64_t columns = ingot_min64(s->out_channels - column, plan->slice_panels * INGOT_GEMM_NR);
            unit_lines(plan, &call->in[X], unit, scratch, rows, isa);
            for (int64_t i = 0, done = 0; i < plan->tiles; i++) {
                const image_tile at = tile_at(plan, i);
                point_rows(plan, &at, at.first - done, rows);
                done = at.first;
                ingot_half_point(&half, (const void *const *)rows, s->kernel[1], s->kernel[2] * s->in_channels,
                                 at.count);
                ingot_half_place(&half, &conv, (int64_t)unit * s->out[2] + at.first, 1, at.count);
                ingot_half_slice(&half, slice, panel, column, columns);
            }
        }
    }
    return INGOT_KERNEL_OK;
}

static const ingot_image_isa portable = {&ingot_half__portable, NULL, &ingot_image_joins__portable};

INGOT_KERNEL_FN(image_conv_f32_n16) { return ingot_image_conv_f32_run(call, begin, end, scratch, &portable); }
INGOT_KERNEL_FN(image_conv_f16_n16) { return ingot_image_conv_half_run(call, begin, end, scratch, &portable); }
INGOT_KERNEL_FN(image_conv_bf16_n16k2) { return ingot_image_conv_half_run(call, begin, end, scratch, &portable); }

#define FAMILY(form)                                                                                                   \
    {                                                                                                                  \
        .params_size = sizeof(ingot_image_conv_params), .flags = INGOT_KERNEL_PITCHED, .in_min = 3, .in_max = 3,       \
        .out_min = 1, .out_max = 1, .check = form##_check, .units = image_units, .state_size = form##_state_size,      \
        .prepare = form##_prepare, .scratch_size = form##_scratch_size,                                                \
    }
const ingot_family ingot_family_image_conv_f32 = FAMILY(f32);
const ingot_family ingot_family_image_conv_half = FAMILY(half);
