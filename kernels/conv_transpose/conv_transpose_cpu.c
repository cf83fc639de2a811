/* conv_transpose_f32_n16: transposed convolution as a gather. All output pixels of one row and one phase use the same
 * taps and neighbouring input pixels, so they are rows of a matrix product, as in a convolution.
 *
 * weights: [groups x ceil(O / groups / 16)][taps][C / groups][16], taps sorted by phase: lexicographically by
 * (phase z, phase y, phase x, z, y, x), where the phase of tap k of an axis is (k * dilation) mod stride. */
#include "conv_transpose_f32.h"
#include "conv_transpose_shape.h"

#include <string.h>

enum { TILE_MAJOR_BYTES = 192 * 1024 };

typedef struct deconv_plan {
    ingot_deconv_shape shape;
    int64_t panels, group_slices, slices; /* of a group: panels, pairs of them; pairs of all groups */
    int64_t lines;                        /* output rows of all images */
    int64_t long_phases, long_pixels;     /* the first phases of a row have one pixel more than the others */
    int64_t long_tiles, short_tiles;      /* of one phase of a row */
    int64_t line_tiles;
    int64_t tile_major;
    float zeros[]; /* group_in zeros */
} deconv_plan;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static void plan_make(const ingot_call *call, deconv_plan *plan) {
    const ingot_arg *w = &call->in[INGOT_DECONV_W];
    ingot_deconv_shape *s = &plan->shape;
    ingot_deconv_shape_read(call, s);
    s->taps = w->dims[1];
    plan->panels = ceil_div(s->group_out, INGOT_GEMM_NR);
    plan->group_slices = ceil_div(plan->panels, INGOT_GEMM_GROUP);
    plan->slices = s->groups * plan->group_slices;
    plan->lines = s->batch * s->out[0] * s->out[1];
    const int64_t phases = min64(s->stride[2], s->out[2]);
    const int64_t pixels = s->out[2] / s->stride[2];
    plan->long_phases = s->out[2] % s->stride[2];
    plan->long_pixels = pixels + 1;
    plan->long_tiles = ceil_div(pixels + 1, INGOT_GEMM_MR);
    plan->short_tiles = ceil_div(pixels, INGOT_GEMM_MR);
    plan->line_tiles = plan->long_phases * plan->long_tiles + (phases - plan->long_phases) * plan->short_tiles;
    plan->tile_major = w->count * (int64_t)sizeof(float) <= TILE_MAJOR_BYTES;
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
    if (w->dims[0] % s.groups != 0 || w->dims[0] / s.groups != ceil_div(s.group_out, INGOT_GEMM_NR) ||
        w->dims[2] != s.group_in) {
        return "conv_transpose: weights";
    }
    return call->out[0].count > UINT32_MAX ? "conv_transpose: too many work units" : NULL;
}

static uint32_t deconv_units(const ingot_call *call) {
    deconv_plan plan;
    plan_make(call, &plan);
    return (uint32_t)(plan.lines * plan.line_tiles * plan.slices);
}

static uint64_t deconv_state_size(const ingot_call *call) {
    deconv_plan plan;
    plan_make(call, &plan);
    return sizeof plan + (uint64_t)plan.shape.group_in * sizeof(float);
}

static void deconv_prepare(const ingot_call *call) {
    deconv_plan *plan = call->state;
    plan_make(call, plan);
    memset(plan->zeros, 0, (size_t)plan->shape.group_in * sizeof(float));
}

static uint64_t deconv_scratch_size(const ingot_call *call) {
    return (uint64_t)call->in[INGOT_DECONV_W].dims[1] * INGOT_GEMM_MR * sizeof(float *);
}

/* The taps that reach output position `position` of an axis, in ascending order, and where they stand in the sorted
 * order of the axis. */
typedef struct axis_taps {
    int64_t first; /* taps of smaller phases */
    int64_t count;
    int64_t phase;
} axis_taps;

static axis_taps find_taps(const ingot_deconv_shape *s, int axis, int64_t position) {
    axis_taps taps = {.phase = (position + s->pad[axis]) % s->stride[axis]};
    for (int64_t k = 0; k < s->kernel[axis]; k++) {
        const int64_t phase = k * s->dilation[axis] % s->stride[axis];
        taps.first += phase < taps.phase;
        taps.count += phase == taps.phase;
    }
    return taps;
}

/* The next tap of the phase from `k` on; there is one. */
static int64_t next_tap(const ingot_deconv_shape *s, int axis, const axis_taps *taps, int64_t k) {
    while (k * s->dilation[axis] % s->stride[axis] != taps->phase) {
        k++;
    }
    return k;
}

/* Output pixels x, x + stride, ... of one row. */
typedef struct deconv_tile {
    int64_t batch, z, y, x;
    int64_t count;
} deconv_tile;

/* Fills in rows, taps and length; gives the first tap in the sorted order of all. */
static int64_t point_rows(const deconv_plan *plan, const float *image, const deconv_tile *g, ingot_gemm_f32 *tile,
                          const void **rows) {
    const ingot_deconv_shape *s = &plan->shape;
    const axis_taps tz = find_taps(s, 0, g->z), ty = find_taps(s, 1, g->y), tx = find_taps(s, 2, g->x);
    int64_t tap = 0, kz = 0;
    for (int64_t a = 0; a < tz.count; a++, kz++) {
        kz = next_tap(s, 0, &tz, kz);
        const int64_t z = (g->z + s->pad[0] - kz * s->dilation[0]) / s->stride[0];
        const int z_inside = g->z + s->pad[0] >= kz * s->dilation[0] && z < s->in[0];
        int64_t ky = 0;
        for (int64_t b = 0; b < ty.count; b++, ky++) {
            ky = next_tap(s, 1, &ty, ky);
            const int64_t y = (g->y + s->pad[1] - ky * s->dilation[1]) / s->stride[1];
            const int inside = z_inside && g->y + s->pad[1] >= ky * s->dilation[1] && y < s->in[1];
            const float *line = image;
            if (inside) {
                line += ((g->batch * s->in[0] + z) * s->in[1] + y) * s->in[2] * s->in_pitch;
            }
            int64_t kx = 0;
            for (int64_t c = 0; c < tx.count; c++, kx++, tap++) {
                kx = next_tap(s, 2, &tx, kx);
                const int64_t x = (g->x + s->pad[2] - kx * s->dilation[2]) / s->stride[2]; /* divides exactly */
                for (int64_t i = 0; i < g->count; i++) {
                    const int there = inside && x + i >= 0 && x + i < s->in[2];
                    rows[tap * INGOT_GEMM_MR + i] = there ? line + (x + i) * s->in_pitch : plan->zeros;
                }
            }
        }
    }
    tile->rows = rows;
    tile->taps = tap;
    tile->length = s->group_in;
    tile->mr = (int32_t)g->count;
    return tz.first * s->kernel[1] * s->kernel[2] + tz.count * (ty.first * s->kernel[2] + ty.count * tx.first);
}

/* Tile `index` of all: its row, phase and pixels. */
static deconv_tile find_tile(const deconv_plan *plan, int64_t index) {
    const ingot_deconv_shape *s = &plan->shape;
    const int64_t line = index / plan->line_tiles, in_long = plan->long_phases * plan->long_tiles;
    int64_t t = index % plan->line_tiles, phase = 0, tiles = plan->long_tiles, pixels = plan->long_pixels;
    if (t >= in_long) {
        t -= in_long;
        phase = plan->long_phases;
        tiles = plan->short_tiles;
        pixels--;
    }
    phase += t / tiles;
    t %= tiles;
    const int64_t base = pixels / tiles, longer = pixels % tiles, first = t * base + min64(t, longer);
    return (deconv_tile){.batch = line / s->out[1] / s->out[0],
                         .z = line / s->out[1] % s->out[0],
                         .y = line % s->out[1],
                         .x = phase + first * s->stride[2],
                         .count = base + (t < longer)};
}

int ingot_conv_transpose_f32_n16_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                                     const ingot_gemm_f32_isa *isa) {
    const deconv_plan *plan = call->state;
    const ingot_deconv_shape *s = &plan->shape;
    const ingot_conv_transpose_params *params = call->params;
    const ingot_arg *residual = &call->in[INGOT_DECONV_RESIDUAL];
    const float *image = call->in[INGOT_DECONV_X].data, *weights = call->in[INGOT_DECONV_W].data;
    const int64_t tiles = plan->lines * plan->line_tiles;
    float *out_rows[INGOT_GEMM_MR];
    const float *residual_rows[INGOT_GEMM_MR];
    int64_t pointed_tile = -1, pointed_group = -1, first_tap = 0;

    ingot_gemm_f32 tile = {.out = out_rows, .bias = call->in[INGOT_DECONV_BIAS].data};
    tile.residual = residual->data != NULL ? residual_rows : NULL;
    tile.panel_stride = s->taps * s->group_in * INGOT_GEMM_NR;
    ingot_gemm_f32_activation(&tile, &params->activation);
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t index = plan->tile_major ? unit / plan->slices : unit % tiles;
        const int64_t slice = plan->tile_major ? unit % plan->slices : unit / tiles;
        const int64_t group = slice / plan->group_slices, panel = slice % plan->group_slices * INGOT_GEMM_GROUP;
        if (index != pointed_tile || group != pointed_group) {
            const deconv_tile g = find_tile(plan, index);
            first_tap = point_rows(plan, image + group * s->group_in, &g, &tile, scratch);
            const int64_t pixel = ((g.batch * s->out[0] + g.z) * s->out[1] + g.y) * s->out[2] + g.x;
            for (int64_t r = 0; r < g.count; r++) {
                const int64_t at = pixel + r * s->stride[2];
                out_rows[r] = (float *)call->out[0].data + at * s->out_pitch;
                if (residual->data != NULL) {
                    residual_rows[r] = (const float *)residual->data + at * residual->pitch;
                }
            }
            pointed_tile = index;
            pointed_group = group;
        }
        tile.column = group * s->group_out + panel * INGOT_GEMM_NR;
        tile.columns = min64(s->group_out - panel * INGOT_GEMM_NR, INGOT_GEMM_GROUP * INGOT_GEMM_NR);
        tile.weights =
            weights + (group * plan->panels + panel) * tile.panel_stride + first_tap * s->group_in * INGOT_GEMM_NR;
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
