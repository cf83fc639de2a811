/* The plan of an indirect convolution and its pointers; see conv_indirect.h. */
#include "conv_indirect.h"
#include "integers.h"

#include <string.h>

enum { FEW_CHANNELS = 16, ROW_PANELS = 8 };

/* A convolution that looks at one pixel at a time sees one long row of pixels. Gives whether it does. */
static int flatten_pointwise(ingot_conv_shape *s) {
    for (int i = 0; i < 3; i++) {
        if (s->kernel[i] != 1 || s->stride[i] != 1 || s->pad[i] != 0 || s->in[i] != s->out[i]) {
            return 0;
        }
    }
    s->in[2] = s->out[2] = s->batch * s->out[0] * s->out[1] * s->out[2];
    s->in[0] = s->out[0] = s->in[1] = s->out[1] = s->batch = 1;
    return 1;
}

void ingot_conv_plan_cut(ingot_conv_plan *plan, int64_t pixels, int64_t panels, int tile_major) {
    plan->tiles = ingot_ceil_div(plan->pixels, pixels);
    plan->tile_pixels = plan->tiles > 0 ? plan->pixels / plan->tiles : 0;
    plan->long_tiles = plan->pixels - plan->tile_pixels * plan->tiles;
    plan->slice_panels = panels;
    plan->group_slices = ingot_ceil_div(plan->panels, panels);
    plan->slices = plan->group_slices * plan->shape.groups;
    plan->tile_major = tile_major;
}

void ingot_conv_plan_make(const ingot_call *call, int64_t element, int64_t align, uint8_t fill, ingot_conv_plan *plan) {
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape *s = &plan->shape;
    ingot_conv_shape_read(call, s);
    s->taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    plan->one_row = flatten_pointwise(s);
    plan->element = element;
    plan->fill = fill;
    plan->pixels = s->batch * s->out[0] * s->out[1] * s->out[2];
    plan->panels = ingot_ceil_div(s->group_out, INGOT_GEMM_NR);
    const int64_t panel_bytes = s->taps * s->group_in * INGOT_GEMM_NR * element;
    ingot_conv_plan_cut(plan, INGOT_GEMM_MR,
                        plan->pixels == 1 ? ROW_PANELS : ingot_gemm_slice(plan->panels, panel_bytes),
                        w->count * element <= INGOT_GEMM_CACHED);
    const int64_t width = s->kernel[2];
    const int dense = s->groups == 1 && s->in_pitch == s->in_channels && s->in_channels % align == 0;
    const int adjacent = width == 1 || (s->dilation[2] == 1 && dense);
    plan->merge = !adjacent                                    ? INGOT_CONV_MERGE_NONE
                  : width > 1 && s->in_channels < FEW_CHANNELS ? INGOT_CONV_MERGE_ALL
                                                               : INGOT_CONV_MERGE_INNER;
    const int64_t room = s->in[2] + s->pad[2] - s->dilation[2] * (width - 1) - 1;
    plan->inner_begin = ingot_min64(ingot_ceil_div(s->pad[2], s->stride[2]), s->out[2]);
    plan->inner_end = room < 0 ? 0 : ingot_min64(room / s->stride[2] + 1, s->out[2]);
    plan->inner_end = ingot_max64(plan->inner_end, plan->inner_begin);
    plan->copy = s->taps == 1 && plan->pixels > 1 &&
                 ingot_gemm_rows_collide(s->in_pitch * s->stride[2] * element, s->group_in * element / 4);
    plan->padding_bytes = width * s->group_in * element;
}

uint32_t ingot_conv_plan_units(const ingot_conv_plan *plan) { return (uint32_t)(plan->tiles * plan->slices); }

uint64_t ingot_conv_plan_state_size(const ingot_conv_plan *plan) {
    return sizeof *plan + (uint64_t)plan->padding_bytes;
}

static int64_t rows_bytes(const ingot_conv_shape *s) {
    return ingot_ceil_div(s->taps * INGOT_GEMM_MR * (int64_t)sizeof(void *), 64) * 64;
}

uint64_t ingot_conv_plan_scratch_size(const ingot_conv_plan *plan) {
    const ingot_conv_shape *s = &plan->shape;
    int64_t pixel = plan->merge == INGOT_CONV_MERGE_ALL ? s->taps * s->in_channels : 0;
    if (plan->copy) {
        pixel = ingot_gemm_copy_pitch(s->group_in);
    }
    return (uint64_t)(rows_bytes(s) + pixel * plan->element * INGOT_GEMM_MR);
}

int ingot_conv_units_fit(const ingot_call *call, int64_t panels) {
    const ingot_arg *out = &call->out[0];
    return out->count / out->dims[out->rank - 1] / INGOT_GEMM_MR + 1 <= UINT32_MAX / panels;
}

/* Brings the rows of a pointwise tile side by side. */
static void copy_pixels(const ingot_conv_plan *plan, int64_t count, const void **rows, char *to) {
    const int64_t bytes = plan->shape.group_in * plan->element;
    for (int64_t r = 0; r < count; r++, to += ingot_gemm_copy_pitch(plan->shape.group_in) * plan->element) {
        memcpy(to, rows[r], (size_t)bytes);
        rows[r] = to;
    }
}

/* Pixels of a tile that lie in one row of the output. */
typedef struct conv_segment {
    int64_t batch;
    int64_t z, y, x;                /* where the window of the first pixel begins; may be outside the image */
    int64_t row, count;             /* rows of the tile */
    int64_t inner_begin, inner_end; /* pixels whose windows lie inside the image, left to right */
    int inside;                     /* all windows lie inside the image, in all directions */
} conv_segment;

static int window_inside(const ingot_conv_shape *s, int axis, int64_t origin) {
    return origin >= 0 && origin + (s->kernel[axis] - 1) * s->dilation[axis] < s->in[axis];
}

/* Takes the tile apart; gives the number of segments. */
static int64_t split_tile(const ingot_conv_plan *plan, const ingot_conv_tile *tile, conv_segment *segments) {
    const ingot_conv_shape *s = &plan->shape;
    int64_t x = tile->pixel % s->out[2], line = tile->pixel / s->out[2], count = 0;
    int64_t y = line % s->out[1];
    line /= s->out[1];
    int64_t z = line % s->out[0], batch = line / s->out[0];
    for (int64_t row = 0; row < tile->count; count++) {
        conv_segment *g = &segments[count];
        g->batch = batch;
        g->z = z * s->stride[0] - s->pad[0];
        g->y = y * s->stride[1] - s->pad[1];
        g->x = x * s->stride[2] - s->pad[2];
        g->row = row;
        g->count = ingot_min64(s->out[2] - x, tile->count - row);
        g->inner_begin = ingot_min64(ingot_max64(plan->inner_begin - x, 0), g->count);
        g->inner_end = ingot_max64(ingot_min64(plan->inner_end - x, g->count), g->inner_begin);
        g->inside = g->inner_end - g->inner_begin == g->count && window_inside(s, 0, g->z) && window_inside(s, 1, g->y);
        row += g->count;
        x = 0;
        if (++y == s->out[1]) {
            y = 0;
            if (++z == s->out[0]) {
                z = 0;
                batch++;
            }
        }
    }
    return count;
}

/* Points every row at its window as if there were no borders: taps lie at the same distances from all windows. Whatever
 * lies outside the image is mended afterwards; until then addresses are numbers, and may wrap around. */
static void point_windows(const ingot_conv_plan *plan, const char *x, const conv_segment *segments, int64_t count,
                          int merged, const void **rows) {
    const ingot_conv_shape *s = &plan->shape;
    const uintptr_t pixel = (uintptr_t)(s->in_pitch * plan->element);
    const uintptr_t line = (uintptr_t)s->in[2] * pixel, plane = (uintptr_t)s->in[1] * line;
    const uintptr_t step = (uintptr_t)s->stride[2] * pixel, tap = (uintptr_t)s->dilation[2] * pixel;
    uintptr_t base[INGOT_GEMM_MR] = {0};
    for (int64_t i = 0; i < count; i++) {
        const conv_segment *g = &segments[i];
        uintptr_t window = (uintptr_t)x + (uintptr_t)(g->batch * s->in[0] + g->z) * plane;
        window += (uintptr_t)g->y * line + (uintptr_t)g->x * pixel;
        for (int64_t r = g->row; r < g->row + g->count; r++, window += step) {
            base[r] = window;
        }
    }
    const int64_t columns = merged ? 1 : s->kernel[2];
    for (int64_t kz = 0; kz < s->kernel[0]; kz++) {
        for (int64_t ky = 0; ky < s->kernel[1]; ky++) {
            uintptr_t offset = (uintptr_t)(kz * s->dilation[0]) * plane + (uintptr_t)(ky * s->dilation[1]) * line;
            for (int64_t kx = 0; kx < columns; kx++, offset += tap, rows += INGOT_GEMM_MR) {
                for (int r = 0; r < INGOT_GEMM_MR; r++) {
                    rows[r] = (const void *)(base[r] + offset);
                }
            }
        }
    }
}

/* One window row that hangs over the left or right border, with the padding written out: elements [begin, end) of it
 * lie in the image, the first of them at `window`. For windows of a few elements, where calling memcpy takes longer. */
#define PATCH_FUNCTION(name, type)                                                                                     \
    static void name(const char *window, int64_t begin, int64_t end, int64_t length, int32_t fill, char *patch) {      \
        const type *from = (const type *)(const void *)window;                                                         \
        type *to = (type *)(void *)patch;                                                                              \
        for (int64_t i = 0; i < length; i++) {                                                                         \
            to[i] = i >= begin && i < end ? from[i - begin] : (type)fill;                                              \
        }                                                                                                              \
    }
PATCH_FUNCTION(patch_s8, uint8_t)
PATCH_FUNCTION(patch_half, uint16_t)
PATCH_FUNCTION(patch_f32, float)

/* `first` is the input column where the window begins. */
static void copy_patch(const ingot_conv_plan *plan, const char *line, int64_t first, char *patch) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t width = s->kernel[2], channels = s->in_channels;
    const int64_t begin = ingot_min64(ingot_max64(-first, 0), width),
                  end = ingot_max64(ingot_min64(s->in[2] - first, width), begin);
    const char *window = end > begin ? line + (first + begin) * channels * plan->element : line;
    const int64_t pixel = channels * plan->element;
    if (width * pixel >= 64) {
        memset(patch, plan->fill, (size_t)(begin * pixel));
        memcpy(patch + begin * pixel, window, (size_t)((end - begin) * pixel));
        memset(patch + end * pixel, plan->fill, (size_t)((width - end) * pixel));
        return;
    }
    (plan->element == 1   ? patch_s8
     : plan->element == 2 ? patch_half
                          : patch_f32)(window, begin * channels, end * channels, width * channels, plan->fill, patch);
}

/* The row of the image that kernel row (kz, ky) reads; NULL outside the image. */
static const char *input_row(const ingot_conv_plan *plan, const char *x, const conv_segment *g, int64_t kz,
                             int64_t ky) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t z = g->z + kz * s->dilation[0], y = g->y + ky * s->dilation[1];
    if (z < 0 || z >= s->in[0] || y < 0 || y >= s->in[1]) {
        return NULL;
    }
    return x + ((g->batch * s->in[0] + z) * s->in[1] + y) * s->in[2] * s->in_pitch * plan->element;
}

/* The pixels of a segment that need mending: all of them, or those that hang over the left or right border. */
static int64_t first_outer(const conv_segment *g, int all) { return !all && g->inner_begin == 0 ? g->inner_end : 0; }

static int64_t next_outer(const conv_segment *g, int64_t i, int all) {
    return !all && i + 1 == g->inner_begin ? g->inner_end : i + 1;
}

/* One run for each (kz, ky): padding above and below the image, patches left and right of it. */
static void mend_merged(const ingot_conv_plan *plan, const char *x, const conv_segment *g, const void **rows,
                        char *patches) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t run_bytes = s->kernel[2] * s->group_in * plan->element;
    for (int64_t kz = 0; kz < s->kernel[0]; kz++) {
        for (int64_t ky = 0; ky < s->kernel[1]; ky++, rows += INGOT_GEMM_MR, patches += run_bytes * INGOT_GEMM_MR) {
            const char *line = input_row(plan, x, g, kz, ky);
            for (int64_t i = first_outer(g, line == NULL); i < g->count; i = next_outer(g, i, line == NULL)) {
                if (line == NULL) {
                    rows[g->row + i] = plan->padding;
                } else {
                    char *patch = patches + (g->row + i) * run_bytes;
                    copy_patch(plan, line, g->x + i * s->stride[2], patch);
                    rows[g->row + i] = patch;
                }
            }
        }
    }
}

/* One run for each tap. */
static void mend_split(const ingot_conv_plan *plan, const char *x, const conv_segment *g, const void **rows) {
    const ingot_conv_shape *s = &plan->shape;
    for (int64_t kz = 0; kz < s->kernel[0]; kz++) {
        for (int64_t ky = 0; ky < s->kernel[1]; ky++) {
            const char *line = input_row(plan, x, g, kz, ky);
            for (int64_t kx = 0; kx < s->kernel[2]; kx++, rows += INGOT_GEMM_MR) {
                const int64_t column = g->x + kx * s->dilation[2];
                for (int64_t i = first_outer(g, line == NULL); i < g->count; i = next_outer(g, i, line == NULL)) {
                    const int64_t at = column + i * s->stride[2];
                    if (line == NULL || at < 0 || at >= s->in[2]) {
                        rows[g->row + i] = plan->padding;
                    }
                }
            }
        }
    }
}

/* Pixels that are looked at one by one; rows beyond the last repeat it. */
static void point_pixels(const ingot_conv_plan *plan, const char *channels, const void **rows, ingot_conv_tile *tile) {
    const int64_t step = plan->shape.in_pitch * plan->element, last = tile->count - 1;
    const char *pixel = channels + tile->pixel * step;
    tile->taps = 1;
    tile->length = plan->shape.group_in;
    for (int r = 0; r < INGOT_GEMM_MR; r++) {
        rows[r] = pixel;
        pixel += r < last ? step : 0;
    }
}

static void point_all(const ingot_conv_plan *plan, const char *channels, const void **rows, char *patches,
                      ingot_conv_tile *tile) {
    const ingot_conv_shape *s = &plan->shape;
    conv_segment segments[INGOT_GEMM_MR];
    const int64_t count = split_tile(plan, tile, segments);
    int inner = 1;
    for (int64_t i = 0; i < count; i++) {
        inner &= segments[i].inner_end - segments[i].inner_begin == segments[i].count;
    }
    const int merged = plan->merge == INGOT_CONV_MERGE_ALL || (plan->merge == INGOT_CONV_MERGE_INNER && inner);
    tile->taps = merged ? s->kernel[0] * s->kernel[1] : s->taps;
    tile->length = merged ? s->kernel[2] * s->group_in : s->group_in;
    point_windows(plan, channels, segments, count, merged, rows);
    for (int64_t i = 0; i < count; i++) {
        if (segments[i].inside) {
            continue;
        }
        if (merged) {
            mend_merged(plan, channels, &segments[i], rows, patches);
        } else {
            mend_split(plan, channels, &segments[i], rows);
        }
    }
}

void ingot_conv_point(const ingot_conv_plan *plan, const void *x, int64_t index, int64_t group, void *scratch,
                      ingot_conv_tile *tile) {
    const char *channels = (const char *)x + group * plan->shape.group_in * plan->element;
    const void **rows = scratch;
    char *patches = (char *)scratch + rows_bytes(&plan->shape);
    tile->rows = rows;
    tile->pixel = index * plan->tile_pixels + ingot_min64(index, plan->long_tiles);
    tile->count = plan->tile_pixels + (index < plan->long_tiles);
    if (plan->one_row) {
        point_pixels(plan, channels, rows, tile);
    } else {
        point_all(plan, channels, rows, patches, tile);
    }
    if (plan->copy) {
        copy_pixels(plan, tile->count, rows, patches);
    }
}
