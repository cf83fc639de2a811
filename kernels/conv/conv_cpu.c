/* conv_f32_n16: indirect convolution. The output pixels of an image are the rows of a matrix product whose left
 * operand is never built: each tile of pixels gets, for every tap of the kernel, pointers to where its input pixels
 * lie, or to a row of zeros at the border.
 *
 * Taps that lie side by side in memory (the last kernel axis, without dilation) merge into one run, so that a first
 * layer of three channels has runs of nine elements and not of three. A tile whose pixels touch the left or right
 * border cannot merge; where channels are few its windows are copied into a patch that has the zeros in place.
 *
 * weights: [groups x ceil(O / groups / 16)][taps][C / groups][16], a panel padded with zero columns. */
#include "conv_f32.h"
#include "conv_shape.h"

enum { FEW_CHANNELS = 16, TILE_MAJOR_BYTES = 192 * 1024, ROW_PANELS = 8 };

typedef enum conv_merge { MERGE_NONE, MERGE_INTERIOR, MERGE_ALL } conv_merge;

typedef struct conv_plan {
    ingot_conv_shape shape;
    int64_t pixels, tiles;              /* of all images; tiles of at most INGOT_GEMM_MR pixels, balanced */
    int64_t panels;                     /* of one group */
    int64_t slice_panels, group_slices; /* a unit is a tile by a slice of a group's panels */
    int64_t inner_begin, inner_end;     /* output columns whose window lies inside the image, left to right */
    int32_t merge;                      /* conv_merge */
    int32_t tile_major;                 /* units of one tile are neighbours: the weights stay in the cache anyway */
    int64_t reserved;
    float zeros[]; /* a run of zeros */
} conv_plan;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t zeros_length(const ingot_conv_shape *s) { return s->kernel[2] * s->group_in; }

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

static void plan_make(const ingot_call *call, conv_plan *plan) {
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape *s = &plan->shape;
    ingot_conv_shape_read(call, s);
    s->taps = w->dims[1];
    flatten_pointwise(s);
    plan->pixels = s->batch * s->out[0] * s->out[1] * s->out[2];
    plan->tiles = ceil_div(plan->pixels, INGOT_GEMM_MR);
    plan->panels = ceil_div(s->group_out, INGOT_GEMM_NR);
    plan->slice_panels = plan->pixels == 1 ? ROW_PANELS : INGOT_GEMM_GROUP;
    plan->group_slices = ceil_div(plan->panels, plan->slice_panels);
    plan->tile_major = w->count * (int64_t)sizeof(float) <= TILE_MAJOR_BYTES;
    const int64_t width = s->kernel[2];
    const int adjacent = width == 1 || (s->dilation[2] == 1 && s->groups == 1 && s->in_pitch == s->in_channels);
    plan->merge = !adjacent ? MERGE_NONE : width > 1 && s->in_channels < FEW_CHANNELS ? MERGE_ALL : MERGE_INTERIOR;
    const int64_t room = s->in[2] + s->pad[2] - s->dilation[2] * (width - 1) - 1;
    plan->inner_begin = min64(ceil_div(s->pad[2], s->stride[2]), s->out[2]);
    plan->inner_end = room < 0 ? 0 : min64(room / s->stride[2] + 1, s->out[2]);
    plan->inner_end = max64(plan->inner_end, plan->inner_begin);
    plan->reserved = 0;
}

static const char *conv_check(const ingot_call *call) {
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape s;
    const char *reason = ingot_conv_operands_check(call, INGOT_F32);
    if (reason != NULL) {
        return reason;
    }
    if (w->dtype != INGOT_F32 || w->rank != 4 || w->count < 1 || w->pitch != INGOT_GEMM_NR ||
        w->dims[3] != INGOT_GEMM_NR) {
        return "conv: weights";
    }
    reason = ingot_conv_shape_check(call, w->dims[1], &s);
    if (reason != NULL) {
        return reason;
    }
    const int64_t panels = ceil_div(s.group_out, INGOT_GEMM_NR);
    if (w->dims[0] % s.groups != 0 || w->dims[0] / s.groups != panels || w->dims[2] != s.group_in) {
        return "conv: weights";
    }
    const int64_t pixels = call->out[0].count / s.out_channels;
    if (pixels > 0 && pixels / INGOT_GEMM_MR + 1 > UINT32_MAX / w->dims[0]) {
        return "conv: too many work units";
    }
    return NULL;
}

static uint32_t conv_units(const ingot_call *call) {
    conv_plan plan;
    plan_make(call, &plan);
    return (uint32_t)(plan.tiles * plan.group_slices * plan.shape.groups);
}

static uint64_t conv_state_size(const ingot_call *call) {
    conv_plan plan;
    plan_make(call, &plan);
    return sizeof plan + (uint64_t)zeros_length(&plan.shape) * sizeof(float);
}

static void conv_prepare(const ingot_call *call) {
    conv_plan *plan = call->state;
    plan_make(call, plan);
    memset(plan->zeros, 0, (size_t)zeros_length(&plan->shape) * sizeof(float));
}

static uint64_t rows_bytes(const ingot_conv_shape *s) {
    return ((uint64_t)s->taps * INGOT_GEMM_MR * sizeof(float *) + 63) / 64 * 64;
}

static uint64_t conv_scratch_size(const ingot_call *call) {
    conv_plan plan;
    plan_make(call, &plan);
    const ingot_conv_shape *s = &plan.shape;
    uint64_t patch = plan.merge == MERGE_ALL ? (uint64_t)(s->taps * s->in_channels) * INGOT_GEMM_MR * sizeof(float) : 0;
    return rows_bytes(s) + patch;
}

/* Pixels of a tile that lie in one row of the output. */
typedef struct conv_segment {
    int64_t batch, z, y, x; /* of the first output pixel */
    int64_t count;
    int64_t row; /* of the tile */
} conv_segment;

/* The input row that kernel row (kz, ky) reads for the segment; NULL outside the image. */
static const float *input_row(const ingot_conv_shape *s, const float *x, const conv_segment *g, int64_t kz,
                              int64_t ky) {
    int64_t z = g->z * s->stride[0] - s->pad[0] + kz * s->dilation[0];
    int64_t y = g->y * s->stride[1] - s->pad[1] + ky * s->dilation[1];
    if (z < 0 || z >= s->in[0] || y < 0 || y >= s->in[1]) {
        return NULL;
    }
    return x + ((g->batch * s->in[0] + z) * s->in[1] + y) * s->in[2] * s->in_pitch;
}

/* One window row that hangs over the left or right border, with the zeros written out. */
static void copy_patch(const ingot_conv_shape *s, const float *line, int64_t first, float *patch) {
    const int64_t width = s->kernel[2], channels = s->in_channels;
    const int64_t begin = min64(max64(-first, 0), width);
    const int64_t end = max64(min64(s->in[2] - first, width), begin);
    memset(patch, 0, (size_t)(begin * channels) * sizeof(float));
    if (end > begin) {
        memcpy(patch + begin * channels, line + (first + begin) * channels,
               (size_t)((end - begin) * channels) * sizeof(float));
    }
    memset(patch + end * channels, 0, (size_t)((width - end) * channels) * sizeof(float));
}

/* One run for each (kz, ky). Pixels outside [inner_begin, inner_end) occur only with patches. */
static void point_merged(const conv_plan *plan, const float *x, const conv_segment *g, const float **rows,
                         float *patches) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t runs = s->kernel[0] * s->kernel[1], length = s->kernel[2] * s->group_in;
    const int64_t step = s->stride[2] * s->in_pitch;
    const int64_t begin = min64(max64(plan->inner_begin - g->x, 0), g->count);
    const int64_t end = max64(min64(plan->inner_end - g->x, g->count), begin);
    for (int64_t run = 0; run < runs; run++) {
        const float **to = rows + run * INGOT_GEMM_MR + g->row;
        const float *line = input_row(s, x, g, run / s->kernel[1], run % s->kernel[1]);
        if (line == NULL) {
            for (int64_t i = 0; i < g->count; i++) {
                to[i] = plan->zeros;
            }
            continue;
        }
        const int64_t first = g->x * s->stride[2] - s->pad[2];
        for (int64_t i = begin; i < end; i++) {
            to[i] = line + first * s->in_pitch + i * step;
        }
        for (int64_t i = 0; i < g->count; i++) {
            if (i == begin && end > begin) {
                i = end - 1;
                continue;
            }
            float *patch = patches + ((g->row + i) * runs + run) * length;
            copy_patch(s, line, first + i * s->stride[2], patch);
            to[i] = patch;
        }
    }
}

/* One run for each tap. */
static void point_split(const conv_plan *plan, const float *x, const conv_segment *g, const float **rows) {
    const ingot_conv_shape *s = &plan->shape;
    const int64_t lines = s->kernel[0] * s->kernel[1];
    for (int64_t k = 0; k < lines; k++) {
        const float *line = input_row(s, x, g, k / s->kernel[1], k % s->kernel[1]);
        for (int64_t kx = 0; kx < s->kernel[2]; kx++) {
            const float **to = rows + (k * s->kernel[2] + kx) * INGOT_GEMM_MR + g->row;
            int64_t column = g->x * s->stride[2] - s->pad[2] + kx * s->dilation[2];
            for (int64_t i = 0; i < g->count; i++, column += s->stride[2]) {
                int inside = line != NULL && column >= 0 && column < s->in[2];
                to[i] = inside ? line + column * s->in_pitch : plan->zeros;
            }
        }
    }
}

/* Fills in rows, taps and length of the tile of `count` pixels from `pixel` on. */
static void point_rows(const conv_plan *plan, const float *x, int64_t pixel, int64_t count, ingot_gemm_f32 *tile,
                       void *scratch) {
    const ingot_conv_shape *s = &plan->shape;
    const float **rows = scratch;
    float *patches = (float *)((char *)scratch + rows_bytes(s));
    conv_segment g;
    g.x = pixel % s->out[2];
    pixel /= s->out[2];
    g.y = pixel % s->out[1];
    pixel /= s->out[1];
    g.z = pixel % s->out[0];
    g.batch = pixel / s->out[0];
    const int all_inner = plan->inner_begin == 0 && plan->inner_end == s->out[2];
    const int merged = plan->merge == MERGE_ALL || (plan->merge == MERGE_INTERIOR &&
                       (all_inner || (g.x >= plan->inner_begin && g.x + count <= plan->inner_end)));
    tile->rows = rows;
    tile->taps = merged ? s->kernel[0] * s->kernel[1] : s->taps;
    tile->length = merged ? s->kernel[2] * s->group_in : s->group_in;
    for (g.row = 0; g.row < count; g.row += g.count) {
        g.count = min64(s->out[2] - g.x, count - g.row);
        if (merged) {
            point_merged(plan, x, &g, rows, patches);
        } else {
            point_split(plan, x, &g, rows);
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
}

int ingot_conv_f32_n16_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const ingot_gemm_f32_isa *isa) {
    const conv_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_conv_params *params = call->params;
    const ingot_arg *residual = &call->in[INGOT_CONV_RESIDUAL];
    const float *x = call->in[INGOT_CONV_X].data, *weights = call->in[INGOT_CONV_W].data;
    float *out = call->out[0].data;
    const int64_t slices = s->groups * plan->group_slices;
    if (begin >= end) {
        return INGOT_KERNEL_OK;
    }
    const int64_t base = plan->pixels / plan->tiles, longer = plan->pixels % plan->tiles;
    float *out_rows[INGOT_GEMM_MR];
    const float *residual_rows[INGOT_GEMM_MR];
    int64_t pointed_tile = -1, pointed_group = -1;

    ingot_gemm_f32 tile = {.out = out_rows, .bias = call->in[INGOT_CONV_BIAS].data};
    tile.residual = residual->data != NULL ? residual_rows : NULL;
    tile.panel_stride = s->taps * s->group_in * INGOT_GEMM_NR;
    ingot_gemm_f32_activation(&tile, &params->activation);
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t index = plan->tile_major ? unit / slices : unit % plan->tiles;
        const int64_t slice = plan->tile_major ? unit % slices : unit / plan->tiles;
        const int64_t group = slice / plan->group_slices;
        const int64_t panel = slice % plan->group_slices * plan->slice_panels;
        if (index != pointed_tile || group != pointed_group) {
            const int64_t pixel = index * base + min64(index, longer);
            tile.mr = (int32_t)(base + (index < longer));
            point_rows(plan, x + group * s->group_in, pixel, tile.mr, &tile, scratch);
            for (int r = 0; r < tile.mr; r++) {
                out_rows[r] = out + (pixel + r) * s->out_pitch;
                residual_rows[r] = residual->data != NULL ? (const float *)residual->data + (pixel + r) * residual->pitch : NULL;
            }
            pointed_tile = index;
            pointed_group = group;
        }
        const int64_t left = s->group_out - panel * INGOT_GEMM_NR;
        tile.column = group * s->group_out + panel * INGOT_GEMM_NR;
        tile.columns = min64(left, plan->slice_panels * INGOT_GEMM_NR);
        tile.weights = weights + (group * plan->panels + panel) * tile.panel_stride;
        isa->tile(&tile);
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(conv_f32_n16) { return ingot_conv_f32_n16_run(call, begin, end, scratch, &ingot_gemm_f32__portable); }

const ingot_family ingot_family_conv_f32_n16 = {
    .params_size = sizeof(ingot_conv_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = conv_check,
    .units = conv_units,
    .state_size = conv_state_size,
    .prepare = conv_prepare,
    .scratch_size = conv_scratch_size,
};
