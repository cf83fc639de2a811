/* matmul_f16_n16, matmul_bf16_n16k2: the right operand is a constant matrix, stored in half and packed in panels:
 * [ceil(N / 16)][ceil(K / 2)][32], see gemm_half.h. The left operand, the residual and the result are of its type or
 * float32. All matrices of a are stacked: one tall product. */
#include "integers.h"
#include "matmul_half.h"
#include "matmul_shape.h"

enum { ROUNDED_BYTES = 512 * 1024 };

typedef struct matmul_plan {
    ingot_half_cut cut;
    int64_t n, rows, tiles, panels;
    int64_t tile_rows, long_tiles; /* the first long_tiles have one row more */
} matmul_plan;

static void plan_make(const ingot_call *call, matmul_plan *plan) {
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *b = &call->in[INGOT_MATMUL_B], *out = &call->out[0];
    ingot_half_cut *cut = &plan->cut;
    plan->n = out->dims[out->rank - 1];
    plan->rows = 1;
    for (int i = 0; i < out->rank - 1; i++) {
        plan->rows *= out->dims[i];
    }
    plan->tiles = ingot_ceil_div(plan->rows, INGOT_GEMM_MR);
    plan->tile_rows = plan->tiles > 0 ? plan->rows / plan->tiles : 0;
    plan->long_tiles = plan->rows - plan->tile_rows * plan->tiles;
    plan->panels = b->dims[0];
    cut->depth = out->count > 0 ? a->dims[a->rank - 1] : 0; /* else it may be anything */
    cut->run = cut->depth;
    cut->few_rows = plan->rows <= INGOT_HALF_FEW;
    const int64_t panel_bytes = b->dims[1] * INGOT_HALF_BLOCK * (int64_t)sizeof(float);
    cut->slice_panels = cut->few_rows ? (int64_t)INGOT_HALF_MOST_PANELS : ingot_gemm_slice(plan->panels, panel_bytes);
    cut->slices = ingot_ceil_div(plan->panels, cut->slice_panels);
    cut->keeps = plan->panels * panel_bytes <= INGOT_GEMM_CACHED;
}

static const char *matmul_check(const ingot_call *call) {
    const ingot_matmul_params *p = call->params;
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *b = &call->in[INGOT_MATMUL_B], *out = &call->out[0];
    const ingot_arg *bias = &call->in[INGOT_MATMUL_BIAS], *residual = &call->in[INGOT_MATMUL_RESIDUAL];
    ingot_matmul_shape s;
    const char *reason = ingot_half_types_check(call);
    if (reason != NULL) {
        return reason;
    }
    if (p->trans_a != 0 || p->trans_b != 0 || p->alpha != 1.0f || p->reserved != 0 ||
        !ingot_activation_valid(&p->activation)) {
        return "matmul: parameters of a packed product";
    }
    if (a->rank < 2 || a->rank != out->rank) {
        return "matmul: rank";
    }
    reason = ingot_matmul_sides_check(bias, INGOT_F32, residual, residual->dtype, out);
    if (reason == NULL) {
        reason = ingot_matmul_shape_read(call, 1, &s);
    }
    if (reason != NULL) {
        return reason;
    }
    for (int i = 0; i < a->rank - 2; i++) {
        if (a->dims[i] != out->dims[i]) {
            return "matmul: batch axes";
        }
    }
    if (b->rank != 3 || b->pitch != INGOT_HALF_BLOCK || b->dims[2] != INGOT_HALF_BLOCK ||
        b->dims[1] != ingot_half_steps(a->dims[a->rank - 1]) || b->dims[0] != ingot_ceil_div(s.n, INGOT_GEMM_NR)) {
        return "matmul: weights";
    }
    return out->count > UINT32_MAX ? "matmul: too many work units" : NULL;
}

static uint32_t matmul_units(const ingot_call *call) {
    matmul_plan plan;
    plan_make(call, &plan);
    return (uint32_t)(plan.tiles * plan.cut.slices);
}

static uint64_t matmul_state_size(const ingot_call *call) {
    (void)call;
    return sizeof(matmul_plan);
}

static void matmul_prepare(const ingot_call *call) { plan_make(call, call->state); }

static uint64_t matmul_scratch_size(const ingot_call *call) {
    matmul_plan plan;
    plan_make(call, &plan);
    return ingot_half_scratch_size(&plan.cut);
}

int ingot_matmul_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                          const ingot_half_isa *isa, const ingot_bf16_dot *dot) {
    const matmul_plan *plan = call->state;
    const ingot_half_cut *cut = &plan->cut;
    const ingot_matmul_params *params = call->params;
    const ingot_arg *a = &call->in[INGOT_MATMUL_A];
    const void *rows[INGOT_GEMM_MR];
    int64_t pointed = -1;
    ingot_half_call half;
    if (begin >= end) {
        return INGOT_KERNEL_OK;
    }
    ingot_half_begin(&half, isa, dot, call, &params->activation, cut, scratch);
    /* Rows of float32 are rounded for each slice anew unless those of a tile follow each other. */
    const int rounds = half.dot != NULL && a->dtype == INGOT_F32;
    const int by_tiles = cut->keeps || (rounds && call->in[INGOT_MATMUL_B].count * 2 <= ROUNDED_BYTES);
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t tile = by_tiles ? unit / cut->slices : unit % plan->tiles;
        const int64_t slice = by_tiles ? unit % cut->slices : unit / plan->tiles;
        if (tile != pointed) {
            const int64_t first = tile * plan->tile_rows + (tile < plan->long_tiles ? tile : plan->long_tiles);
            const int64_t mr = plan->tile_rows + (tile < plan->long_tiles);
            for (int64_t r = 0; r < mr; r++) {
                rows[r] = (const char *)a->data + (first + r) * a->pitch * ingot_half_size(a->dtype);
            }
            ingot_half_place(&half, call, first, 1, mr);
            ingot_half_point(&half, rows, 1, cut->depth, mr);
            pointed = tile;
        }
        const int64_t panel = slice * cut->slice_panels, column = panel * INGOT_GEMM_NR;
        const int64_t left = plan->n - column, wide = cut->slice_panels * INGOT_GEMM_NR;
        ingot_half_slice(&half, slice, panel, column, left < wide ? left : wide);
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(matmul_f16_n16) {
    return ingot_matmul_half_run(call, begin, end, scratch, &ingot_half__portable, NULL);
}

INGOT_KERNEL_FN(matmul_bf16_n16k2) {
    return ingot_matmul_half_run(call, begin, end, scratch, &ingot_half__portable, NULL);
}

const ingot_family ingot_family_matmul_half = {
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
