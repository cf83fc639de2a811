/* matmul_f32_n16: the right operand is a constant matrix, packed in panels: [ceil(N / 16)][K][16].
 *
 * All matrices of a are stacked: one tall product, split into tiles of rows by slices of panels. A single row is
 * bound by the bandwidth of the weights, and its slices are wider so that the kernel has sums enough to run in
 * parallel. */
#include "integers.h"
#include "matmul_f32.h"
#include "matmul_shape.h"

#include <string.h>

enum { ROW_PANELS = 8 };

typedef struct matmul_plan {
    int64_t k, n;
    int64_t rows;            /* of one a when it is transposed, else of all of them */
    int64_t matrices, tiles; /* tiles of one matrix */
    int64_t panels, slices, slice_panels;
    int64_t copy_pitch; /* of the copies of a tile's rows in scratch; 0 when they are used where they lie */
    int64_t tile_major;
} matmul_plan;

/* Tiles of at most `rows`, slices of so many panels. */
static void plan_cut(matmul_plan *plan, int64_t rows, int64_t panels, int tile_major) {
    plan->tiles = ingot_ceil_div(plan->rows, rows);
    plan->slice_panels = panels;
    plan->slices = ingot_ceil_div(plan->panels, panels);
    plan->tile_major = tile_major;
}

static void plan_make(const ingot_call *call, matmul_plan *plan) {
    const ingot_matmul_params *p = call->params;
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *b = &call->in[INGOT_MATMUL_B], *out = &call->out[0];
    const int64_t m = out->dims[out->rank - 2];
    int64_t batches = 1;
    for (int i = 0; i < out->rank - 2; i++) {
        batches *= out->dims[i];
    }
    plan->n = out->dims[out->rank - 1];
    plan->k = a->dims[a->rank - (p->trans_a ? 2 : 1)];
    plan->rows = p->trans_a ? m : m * batches;
    plan->matrices = p->trans_a ? batches : 1;
    plan->panels = b->dims[0];
    const int64_t panel_bytes = plan->k * INGOT_GEMM_NR * (int64_t)sizeof(float);
    plan_cut(plan, INGOT_GEMM_MR, plan->rows == 1 ? ROW_PANELS : ingot_gemm_slice(plan->panels, panel_bytes),
             p->trans_a || b->count * (int64_t)sizeof(float) <= INGOT_GEMM_CACHED);
    const int collide = ingot_gemm_rows_collide(a->pitch * (int64_t)sizeof(float), plan->k) && plan->rows > 1;
    plan->copy_pitch = p->trans_a || collide ? ingot_gemm_copy_pitch(plan->k) : 0;
}

static const char *matmul_check(const ingot_call *call) {
    const ingot_matmul_params *p = call->params;
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *b = &call->in[INGOT_MATMUL_B], *out = &call->out[0];
    const char *reason = ingot_matmul_operands_check(call, INGOT_F32);
    ingot_matmul_shape s;
    if (reason != NULL) {
        return reason;
    }
    reason = ingot_matmul_shape_read(call, 1, &s);
    if (reason != NULL) {
        return reason;
    }
    if (a->rank != out->rank || p->trans_b != 0 || p->alpha != 1.0f) {
        return "matmul: parameters of a packed product";
    }
    for (int i = 0; i < a->rank - 2; i++) {
        if (a->dims[i] != out->dims[i]) {
            return "matmul: batch axes";
        }
    }
    if (b->rank != 3 || b->pitch != INGOT_GEMM_NR || b->dims[2] != INGOT_GEMM_NR || b->dims[1] != s.k ||
        b->dims[0] != ingot_ceil_div(s.n, INGOT_GEMM_NR)) {
        return "matmul: weights";
    }
    if (out->count > UINT32_MAX) {
        return "matmul: too many work units";
    }
    return NULL;
}

static uint32_t matmul_units(const ingot_call *call) {
    matmul_plan plan;
    plan_make(call, &plan);
    return (uint32_t)(plan.matrices * plan.tiles * plan.slices);
}

static uint64_t matmul_state_size(const ingot_call *call) {
    (void)call;
    return sizeof(matmul_plan);
}

static void matmul_prepare(const ingot_call *call) { plan_make(call, call->state); }

static uint64_t matmul_scratch_size(const ingot_call *call) {
    matmul_plan plan;
    plan_make(call, &plan);
    return (uint64_t)plan.copy_pitch * INGOT_GEMM_MR * sizeof(float);
}

int ingot_matmul_f32_n16_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                             const ingot_gemm_f32_isa *isa) {
    const matmul_plan *plan = call->state;
    const ingot_matmul_params *params = call->params;
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *residual = &call->in[INGOT_MATMUL_RESIDUAL];
    const ingot_arg *out = &call->out[0];
    float *copies = scratch;
    const float *weights = call->in[INGOT_MATMUL_B].data;
    const void *rows[INGOT_GEMM_MR];
    const float *residual_rows[INGOT_GEMM_MR];
    float *out_rows[INGOT_GEMM_MR];
    int64_t pointed = -1;
    if (begin >= end) {
        return INGOT_KERNEL_OK;
    }
    const int64_t tiles = plan->matrices * plan->tiles;
    const int64_t base = plan->rows / plan->tiles, longer = plan->rows % plan->tiles;

    ingot_gemm_f32 tile = {.rows = rows, .taps = 1, .length = plan->k, .out = out_rows};
    tile.residual = residual->data != NULL ? residual_rows : NULL;
    tile.bias = call->in[INGOT_MATMUL_BIAS].data;
    tile.panel_stride = plan->k * INGOT_GEMM_NR;
    ingot_gemm_f32_activation(&tile, &params->activation);
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t index = plan->tile_major ? unit / plan->slices : unit % tiles;
        const int64_t panel = (plan->tile_major ? unit % plan->slices : unit / tiles) * plan->slice_panels;
        if (index != pointed) {
            const int64_t matrix = index / plan->tiles, t = index % plan->tiles;
            const int64_t first = t * base + (t < longer ? t : longer);
            const float *from = a->data;
            tile.mr = (int32_t)(base + (t < longer));
            if (params->trans_a) {
                ingot_matmul_transpose(from + matrix * plan->k * a->pitch + first, a->pitch, plan->k, tile.mr, 1.0f,
                                       copies, plan->copy_pitch);
            }
            for (int r = 0; r < tile.mr; r++) {
                const int64_t row = matrix * plan->rows + first + r;
                rows[r] = plan->copy_pitch != 0 ? copies + r * plan->copy_pitch : from + row * a->pitch;
                if (plan->copy_pitch != 0 && !params->trans_a) {
                    memcpy(copies + r * plan->copy_pitch, from + row * a->pitch, (size_t)plan->k * sizeof(float));
                }
                out_rows[r] = (float *)out->data + row * out->pitch;
                residual_rows[r] = (const float *)residual->data + (tile.residual != NULL ? row * residual->pitch : 0);
            }
            pointed = index;
        }
        const int64_t left = plan->n - panel * INGOT_GEMM_NR, wide = plan->slice_panels * INGOT_GEMM_NR;
        tile.column = panel * INGOT_GEMM_NR;
        tile.columns = left < wide ? left : wide;
        tile.weights = weights + panel * tile.panel_stride;
        isa->tile(&tile);
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(matmul_f32_n16) {
    return ingot_matmul_f32_n16_run(call, begin, end, scratch, &ingot_gemm_f32__portable);
}

const ingot_family ingot_family_matmul_f32_n16 = {
    .params_size = sizeof(ingot_matmul_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_MATMUL_RESIDUAL,
    .check = matmul_check,
    .units = matmul_units,
    .state_size = matmul_state_size,
    .prepare = matmul_prepare,
    .scratch_size = matmul_scratch_size,
};

/* matmul_f32_n16_cut: the same with tiles and work units of the builder's choice. Sums may be rounded otherwise:
 * tiles of few rows have several accumulators a result. */
static void cut_plan_make(const ingot_call *call, matmul_plan *plan) {
    const ingot_matmul_cut_params *p = call->params;
    plan_make(call, plan);
    plan_cut(plan, p->cut.rows, p->cut.slice, p->cut.tile_major);
}

static const char *cut_check(const ingot_call *call) {
    const ingot_matmul_cut_params *p = call->params;
    const char *reason = matmul_check(call);
    return reason != NULL ? reason : ingot_gemm_cut_valid(&p->cut) ? NULL : "matmul: tiles";
}

static uint32_t cut_units(const ingot_call *call) {
    matmul_plan plan;
    cut_plan_make(call, &plan);
    return (uint32_t)(plan.matrices * plan.tiles * plan.slices);
}

static void cut_prepare(const ingot_call *call) { cut_plan_make(call, call->state); }

INGOT_KERNEL_FN(matmul_f32_n16_cut) {
    return ingot_matmul_f32_n16_run(call, begin, end, scratch, &ingot_gemm_f32__portable);
}

const ingot_family ingot_family_matmul_f32_n16_cut = {
    .params_size = sizeof(ingot_matmul_cut_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_MATMUL_RESIDUAL,
    .check = cut_check,
    .units = cut_units,
    .state_size = matmul_state_size,
    .prepare = cut_prepare,
    .scratch_size = matmul_scratch_size,
};
