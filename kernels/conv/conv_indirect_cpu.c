/* The plan of an indirect convolution and its pointers; see conv_indirect.h. */
#include "conv_indirect.h"

#include <string.h>

enum { FEW_CHANNELS = 16, TILE_MAJOR_BYTES = 192 * 1024, ROW_PANELS = 8 };

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* A convolution that looks at one pixel at a time sees one long row of pixels. */
static void flatten_pointwise(ingot_conv_shape *s) {
    for (int i = 0; i < 3; i++) {
        if (s->kernel[i] != 1 || s->stride[i] != 1 || s->pad[i] != 0 || s->in[i] != s->out[i]) {
            return;
        }
    }
    s->in[2] = s->out[2] = s->batch * s->out[0] * s->out[1] * s->out[2];
    s->in[0] = s->out[0] = s->in[1] = s->out[1] = s->batch = 1;
}

void ingot_conv_plan_make(const ingot_call *call, int64_t element, int64_t align, uint8_t fill, ingot_conv_plan *plan) {
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape *s = &plan->shape;
    ingot_conv_shape_read(call, s);
    s->taps = w->dims[1];
    flatten_pointwise(s);
    plan->element = element;
    plan->fill = fill;
    plan->pixels = s->batch * s->out[0] * s->out[1] * s->out[2];
    plan->tiles = ceil_div(plan->pixels, INGOT_GEMM_MR);
    plan->panels = ceil_div(s->group_out, INGOT_GEMM_NR);
    const int64_t panel_bytes = s->taps * s->group_in * INGOT_GEMM_NR * element;
    plan->slice_panels = plan->pixels == 1 ? ROW_PANELS : ingot_gemm_slice(plan->panels, panel_bytes);
    plan->group_slices = ceil_div(plan->panels, plan->slice_panels);
    plan->slices = plan->group_slices * s->groups;
    plan->tile_major = w->count * element <= TILE_MAJOR_BYTES;
    const int64_t width = s->kernel[2];
    const int dense = s->groups == 1 && s->in_pitch == s->in_channels && s->in_channels % align == 0;
    const int adjacent = width == 1 || (s->dilation[2] == 1 && dense);
    plan->merge = !adjacent                                      ? INGOT_CONV_MERGE_NONE
                  : width > 1 && s->in_channels < FEW_CHANNELS ? INGOT_CONV_MERGE_ALL
                                                               : INGOT_CONV_MERGE_INNER;
    const int64_t room = s->in[2] + s->pad[2] - s->dilation[2] * (width - 1) - 1;
    plan->inner_begin = min64(ceil_div(s->pad[2], s->stride[2]), s->out[2]);
    plan->inner_end = room < 0 ? 0 : min64(room / s->stride[2] + 1, s->out[2]);
    plan->inner_end = max64(plan->inner_end, plan->inner_begin);
    plan->copy = s->taps == 1 && plan->pixels > 1 &&
                 ingot_gemm_rows_collide(s->in_pitch * s->stride[2] * element, s->group_in * element / 4);
    plan->padding_bytes = width * s->group_in * element;
}

uint32_t ingot_conv_plan_units(const ingot_conv_plan *plan) { return (uint32_t)(plan->tiles * plan->slices); }

uint64_t ingot_conv_plan_state_size(const ingot_conv_plan *plan) {
    return sizeof *plan + (uint64_t)plan->padding_bytes;
}

static int64_t rows_bytes(const ingot_conv_shape *s) {
    return ceil_div(s->taps * INGOT_GEMM_MR * (int64_t)sizeof(void *), 64) * 64;
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
    int64_t batch, z, y, x; /* of the first output pixel */
    int64_t count;
    int64_t row; /* of the tile */
} conv_segment;

/* The input row that kernel row (kz, ky) reads for the segment; NULL outside the image. */
static const char *input_row(const ingot_conv_plan *plan, const char *x, const conv_segment *g, int64_t kz,
                             int64_t ky) {
    const ingot_conv_shape *s = &plan->shape;
    int64_t z = g->z * s->stride[0] - s->pad[0] + kz * s->dilation[0];
    int64_t y = g->y * s->stride[1] - s->pad[1] + ky * s->dilation[1];
    if (z < 0 || z >= s->in[0] || y < 0 || y >= s->in[1]) {
        return NULL;
    }
    return x + ((g->batch * s->in[0] + z) * s->in[1] + y) * s->in[2] * s->in_pitch * plan->element;
}

/* One window row that hangs over the left or right border, with the padding written out. */
static void copy_patch(const ingot_conv_plan *plan, const char *line, int64_t first, char *patch) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t width = s->kernel[2], pixel = s->in_channels * plan->element;
    const int64_t begin = min64(max64(-first, 0), width);
    const int64_t end = max64(min64(s->in[2] - first, width), begin);
    memset(patch, plan->fill, (size_t)(begin * pixel));
    if (end > begin) {
        memcpy(patch + begin * pixel, line + (first + begin) * pixel, (size_t)((end - begin) * pixel));
    }
    memset(patch + end * pixel, plan->fill, (size_t)((width - end) * pixel));
}

/* One run for each (kz, ky). Pixels outside [inner_begin, inner_end) occur only with patches. */
static void point_merged(const ingot_conv_plan *plan, const char *x, const conv_segment *g, const void **rows,
                         char *patches) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t runs = s->kernel[0] * s->kernel[1], run_bytes = s->kernel[2] * s->group_in * plan->element;
    const int64_t pitch = s->in_pitch * plan->element, step = s->stride[2] * pitch;
    const int64_t begin = min64(max64(plan->inner_begin - g->x, 0), g->count);
    const int64_t end = max64(min64(plan->inner_end - g->x, g->count), begin);
    const int64_t first = g->x * s->stride[2] - s->pad[2];
    for (int64_t run = 0; run < runs; run++) {
        const void **to = rows + run * INGOT_GEMM_MR + g->row;
        const char *line = input_row(plan, x, g, run / s->kernel[1], run % s->kernel[1]);
        if (line == NULL) {
            for (int64_t i = 0; i < g->count; i++) {
                to[i] = plan->padding;
            }
            continue;
        }
        for (int64_t i = begin; i < end; i++) {
            to[i] = line + first * pitch + i * step;
        }
        for (int64_t i = 0; i < g->count; i++) {
            if (i == begin && end > begin) {
                i = end - 1;
                continue;
            }
            char *patch = patches + ((g->row + i) * runs + run) * run_bytes;
            copy_patch(plan, line, first + i * s->stride[2], patch);
            to[i] = patch;
        }
    }
}

/* One run for each tap. */
static void point_split(const ingot_conv_plan *plan, const char *x, const conv_segment *g, const void **rows) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t lines = s->kernel[0] * s->kernel[1], pitch = s->in_pitch * plan->element;
    for (int64_t k = 0; k < lines; k++) {
        const char *line = input_row(plan, x, g, k / s->kernel[1], k % s->kernel[1]);
        for (int64_t kx = 0; kx < s->kernel[2]; kx++) {
            const void **to = rows + (k * s->kernel[2] + kx) * INGOT_GEMM_MR + g->row;
            int64_t column = g->x * s->stride[2] - s->pad[2] + kx * s->dilation[2];
            for (int64_t i = 0; i < g->count; i++, column += s->stride[2]) {
                const int inside = line != NULL && column >= 0 && column < s->in[2];
                to[i] = inside ? (const void *)(line + column * pitch) : plan->padding;
            }
        }
    }
}

void ingot_conv_point(const ingot_conv_plan *plan, const void *x, int64_t index, int64_t group, void *scratch,
                      ingot_conv_tile *tile) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t base = plan->pixels / plan->tiles, longer = plan->pixels % plan->tiles;
    const char *channels = (const char *)x + group * s->group_in * plan->element;
    const void **rows = scratch;
    char *patches = (char *)scratch + rows_bytes(s);
    tile->pixel = index * base + min64(index, longer);
    tile->count = base + (index < longer);
    conv_segment g = {.x = tile->pixel % s->out[2]};
    int64_t line = tile->pixel / s->out[2];
    g.y = line % s->out[1];
    line /= s->out[1];
    g.z = line % s->out[0];
    g.batch = line / s->out[0];
    const int all_inner = plan->inner_begin == 0 && plan->inner_end == s->out[2];
    const int inner = all_inner || (g.x >= plan->inner_begin && g.x + tile->count <= plan->inner_end);
    const int merged = plan->merge == INGOT_CONV_MERGE_ALL || (plan->merge == INGOT_CONV_MERGE_INNER && inner);
    tile->rows = rows;
    tile->taps = merged ? s->kernel[0] * s->kernel[1] : s->taps;
    tile->length = merged ? s->kernel[2] * s->group_in : s->group_in;
    for (g.row = 0; g.row < tile->count; g.row += g.count) {
        g.count = min64(s->out[2] - g.x, tile->count - g.row);
        if (merged) {
            point_merged(plan, channels, &g, rows, patches);
        } else {
            point_split(plan, channels, &g, rows);
        }
        g.x = 0;
        if (++g.y == s->out[1]) {
            g.y = 0;
            if (++g.z == s->out[0]) {
                g.z = 0;
                g.batch++;
            }
        }
    }
    if (plan->copy) {
        copy_pixels(plan, tile->count, rows, patches);
    }
}
