/* The plan of a transposed convolution and its pointers; see conv_transpose_plan.h. */
#include "conv_transpose_plan.h"
#include "integers.h"

void ingot_deconv_plan_make(const ingot_call *call, int64_t element, int64_t slice_panels, ingot_deconv_plan *plan) {
    const ingot_arg *w = &call->in[INGOT_DECONV_W];
    ingot_deconv_shape *s = &plan->shape;
    ingot_deconv_shape_read(call, s);
    s->taps = w->dims[1];
    plan->element = element;
    plan->panels = ingot_ceil_div(s->group_out, INGOT_GEMM_NR);
    plan->slice_panels = slice_panels;
    plan->group_slices = ingot_ceil_div(plan->panels, slice_panels);
    plan->slices = s->groups * plan->group_slices;
    plan->lines = s->batch * s->out[0] * s->out[1];
    const int64_t phases = ingot_min64(s->stride[2], s->out[2]);
    const int64_t pixels = s->out[2] / s->stride[2];
    plan->long_phases = s->out[2] % s->stride[2];
    plan->long_pixels = pixels + 1;
    plan->long_tiles = ingot_ceil_div(pixels + 1, INGOT_GEMM_MR);
    plan->short_tiles = ingot_ceil_div(pixels, INGOT_GEMM_MR);
    plan->line_tiles = plan->long_phases * plan->long_tiles + (phases - plan->long_phases) * plan->short_tiles;
    plan->tile_major = w->count * element <= INGOT_GEMM_CACHED;
    plan->padding_bytes = s->group_in * element;
}

uint32_t ingot_deconv_plan_units(const ingot_deconv_plan *plan) {
    return (uint32_t)(plan->lines * plan->line_tiles * plan->slices);
}

uint64_t ingot_deconv_plan_state_size(const ingot_deconv_plan *plan) {
    return sizeof *plan + (uint64_t)plan->padding_bytes;
}

uint64_t ingot_deconv_plan_scratch_size(const ingot_deconv_plan *plan) {
    return (uint64_t)plan->shape.taps * INGOT_GEMM_MR * sizeof(void *);
}

ingot_deconv_unit ingot_deconv_unit_at(const ingot_deconv_plan *plan, uint32_t index) {
    const int64_t tiles = plan->lines * plan->line_tiles;
    const int64_t slice = plan->tile_major ? index % plan->slices : index / tiles;
    return (ingot_deconv_unit){
        .tile = plan->tile_major ? index / plan->slices : index % tiles,
        .group = slice / plan->group_slices,
        .panel = slice % plan->group_slices * plan->slice_panels,
    };
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

/* Fills in rows, taps, first_tap and phase. */
static void point_rows(const ingot_deconv_plan *plan, const char *image, const deconv_tile *g, const void **rows,
                       ingot_deconv_tile *tile) {
    const ingot_deconv_shape *s = &plan->shape;
    const axis_taps tz = find_taps(s, 0, g->z), ty = find_taps(s, 1, g->y), tx = find_taps(s, 2, g->x);
    const int64_t pixel = s->in_pitch * plan->element;
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
            const char *line = image;
            if (inside) {
                line += ((g->batch * s->in[0] + z) * s->in[1] + y) * s->in[2] * pixel;
            }
            int64_t kx = 0;
            for (int64_t c = 0; c < tx.count; c++, kx++, tap++) {
                kx = next_tap(s, 2, &tx, kx);
                const int64_t x = (g->x + s->pad[2] - kx * s->dilation[2]) / s->stride[2]; /* divides exactly */
                for (int64_t i = 0; i < g->count; i++) {
                    const int there = inside && x + i >= 0 && x + i < s->in[2];
                    rows[tap * INGOT_GEMM_MR + i] =
                        there ? (const void *)(line + (x + i) * pixel) : (const void *)plan->padding;
                }
            }
        }
    }
    tile->rows = rows;
    tile->taps = tap;
    tile->first_tap =
        tz.first * s->kernel[1] * s->kernel[2] + tz.count * (ty.first * s->kernel[2] + ty.count * tx.first);
    tile->phase = (tz.phase * s->stride[1] + ty.phase) * s->stride[2] + tx.phase;
}

/* Tile `index` of all: its row, phase and pixels. */
static deconv_tile find_tile(const ingot_deconv_plan *plan, int64_t index) {
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
    const int64_t base = pixels / tiles, longer = pixels % tiles, first = t * base + ingot_min64(t, longer);
    return (deconv_tile){.batch = line / s->out[1] / s->out[0],
                         .z = line / s->out[1] % s->out[0],
                         .y = line % s->out[1],
                         .x = phase + first * s->stride[2],
                         .count = base + (t < longer)};
}

void ingot_deconv_point(const ingot_deconv_plan *plan, const void *x, int64_t index, int64_t group, void *scratch,
                        ingot_deconv_tile *tile) {
    const ingot_deconv_shape *s = &plan->shape;
    const deconv_tile g = find_tile(plan, index);
    point_rows(plan, (const char *)x + group * plan->padding_bytes, &g, scratch, tile);
    tile->pixel = ((g.batch * s->out[0] + g.z) * s->out[1] + g.y) * s->out[2] + g.x;
    tile->step = s->stride[2];
    tile->count = g.count;
}
