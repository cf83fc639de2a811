/* matmul_f32: both operands come at run time; batch axes broadcast; either may be transposed.
 *
 * A work unit is a slice of the columns of one product by a chunk of rows. It packs its panels of b into scratch,
 * once for all rows of the chunk; a slice is wide where b is shallow, so that long pieces of each row are written. With
 * so few rows that packing would cost more than the product, b is used where it lies. */
#include "integers.h"
#include "matmul_f32.h"
#include "matmul_shape.h"

#include <string.h>

enum {
    CHUNK_ROWS = 24 * INGOT_GEMM_MR,
    COPY_ROWS = 8 * INGOT_GEMM_MR, /* rows of a that are copied at once when they cannot be used where they lie */
    FEW_ROWS = 3,
    SLICE = INGOT_GEMM_GROUP * INGOT_GEMM_NR, /* columns of the narrowest slice */
    SLICE_FLOATS = 32 * 1024,                 /* of b that a wide slice may pack */
    ENOUGH_UNITS = 8,
    ROW_SLICE = 8 * INGOT_GEMM_NR, /* columns of a unit when there are few rows */
};

typedef struct matmul_plan {
    ingot_matmul_shape shape;
    int64_t chunks, slices, slice;
    int64_t copy_pitch; /* of copied rows; 0 when rows are used where they lie */
} matmul_plan;

/* Twice as wide as long as it fits and leaves work for several threads. */
static int64_t slice_columns(const ingot_matmul_shape *s, int64_t units) {
    int64_t slice = SLICE;
    while (slice < s->n && 2 * slice * s->k <= SLICE_FLOATS &&
           ingot_ceil_div(s->n, 2 * slice) * units >= ENOUGH_UNITS) {
        slice *= 2;
    }
    return slice;
}

static const char *plan_make(const ingot_call *call, matmul_plan *plan) {
    const ingot_matmul_params *p = call->params;
    ingot_matmul_shape *s = &plan->shape;
    const char *reason = ingot_matmul_shape_read(call, 0, s);
    plan->chunks = ingot_ceil_div(s->m, CHUNK_ROWS);
    plan->slice = s->m <= FEW_ROWS ? ROW_SLICE : slice_columns(s, plan->chunks * s->batches);
    plan->slices = ingot_ceil_div(s->n, plan->slice);
    const int collide = ingot_gemm_rows_collide(call->in[INGOT_MATMUL_A].pitch * (int64_t)sizeof(float), s->k);
    plan->copy_pitch = p->trans_a || (collide && s->m > FEW_ROWS) ? ingot_gemm_copy_pitch(s->k) : 0;
    return reason;
}

static const char *matmul_check(const ingot_call *call) {
    matmul_plan plan;
    const char *reason = ingot_matmul_operands_check(call, INGOT_F32);
    if (reason == NULL) {
        reason = plan_make(call, &plan);
    }
    if (reason == NULL && call->out[0].count > UINT32_MAX) {
        reason = "matmul: too many work units";
    }
    return reason;
}

static uint32_t matmul_units(const ingot_call *call) {
    matmul_plan plan;
    (void)plan_make(call, &plan);
    return (uint32_t)(plan.shape.batches * plan.slices * plan.chunks);
}

static uint64_t matmul_state_size(const ingot_call *call) {
    (void)call;
    return sizeof(matmul_plan);
}

static void matmul_prepare(const ingot_call *call) { (void)plan_make(call, call->state); }

/* Two packed panels of b and copied rows of a. */
static uint64_t matmul_scratch_size(const ingot_call *call) {
    matmul_plan plan;
    (void)plan_make(call, &plan);
    return (uint64_t)(plan.shape.k * plan.slice + plan.copy_pitch * COPY_ROWS) * sizeof(float);
}

/* Packs columns [first, first + count) of b, scaled by alpha, into panels of 16. */
static void pack(const float *b, int64_t pitch, int transposed, int64_t k, int64_t first, int64_t count, float alpha,
                 float *to) {
    for (int64_t panel = 0; panel < count; panel += INGOT_GEMM_NR, to += k * INGOT_GEMM_NR) {
        const int64_t columns = ingot_min64(count - panel, INGOT_GEMM_NR);
        if (columns < INGOT_GEMM_NR && k > 0) {
            memset(to, 0, (size_t)(k * INGOT_GEMM_NR) * sizeof(float));
        }
        if (transposed) {
            ingot_matmul_transpose(b + (first + panel) * pitch, pitch, columns, k, alpha, to, INGOT_GEMM_NR);
        } else if (columns == INGOT_GEMM_NR) {
            for (int64_t i = 0; i < k; i++) {
                const float *from = b + i * pitch + first + panel;
                for (int64_t c = 0; c < INGOT_GEMM_NR; c++) {
                    to[i * INGOT_GEMM_NR + c] = alpha * from[c];
                }
            }
        } else {
            for (int64_t i = 0; i < k; i++) {
                for (int64_t c = 0; c < columns; c++) {
                    to[i * INGOT_GEMM_NR + c] = alpha * b[i * pitch + first + panel + c];
                }
            }
        }
    }
}

/* What the micro-kernel does in registers, for a row that was computed without it. */
static void finish_row(const ingot_matmul_params *p, const float *bias, const float *residual, float *out,
                       int64_t count) {
    for (int64_t j = 0; j < count; j++) {
        float y = p->alpha * out[j];
        y += bias != NULL ? bias[j] : 0.0f;
        out[j] = y + (residual != NULL ? residual[j] : 0.0f);
    }
}

typedef struct unit_operands {
    const float *a, *b, *bias, *residual; /* of this product; bias and residual may be NULL */
    float *out;
    int64_t a_pitch, b_pitch, residual_pitch, out_pitch;
    int64_t first, count; /* columns */
} unit_operands;

static void few_rows(const matmul_plan *plan, const ingot_matmul_params *p, const unit_operands *u, float *scratch,
                     const ingot_gemm_f32_isa *isa) {
    const ingot_matmul_shape *s = &plan->shape;
    float sums[ROW_SLICE];
    ingot_row_f32 task = {.pitch = u->b_pitch, .length = s->k, .columns = u->count, .out = sums};
    task.matrix = p->trans_b ? u->b + u->first * u->b_pitch : u->b + u->first;
    if (p->trans_a) {
        ingot_matmul_transpose(u->a, u->a_pitch, s->k, s->m, 1.0f, scratch, plan->copy_pitch);
    }
    for (int64_t r = 0; r < s->m; r++) {
        float *out = u->out + r * u->out_pitch + u->first;
        task.row = p->trans_a ? scratch + r * plan->copy_pitch : u->a + r * u->a_pitch;
        (p->trans_b ? isa->row_transposed : isa->row)(&task);
        finish_row(p, u->bias != NULL ? u->bias + u->first : NULL,
                   u->residual != NULL ? u->residual + r * u->residual_pitch + u->first : NULL, sums, u->count);
        memcpy(out, sums, (size_t)u->count * sizeof(float));
        isa->activate(&p->activation, out, u->count);
    }
}

/* Rows [first, first + count) of a, which may be transposed, one behind the other. */
static void copy_rows(const matmul_plan *plan, const ingot_matmul_params *p, const unit_operands *u, int64_t first,
                      int64_t count, float *to) {
    const int64_t k = plan->shape.k;
    if (p->trans_a) {
        ingot_matmul_transpose(u->a + first, u->a_pitch, k, count, 1.0f, to, plan->copy_pitch);
        return;
    }
    for (int64_t r = 0; r < count; r++) {
        memcpy(to + r * plan->copy_pitch, u->a + (first + r) * u->a_pitch, (size_t)k * sizeof(float));
    }
}

static void many_rows(const matmul_plan *plan, const ingot_matmul_params *p, const unit_operands *u, int64_t chunk,
                      float *scratch, const ingot_gemm_f32_isa *isa) {
    const ingot_matmul_shape *s = &plan->shape;
    const void *rows[INGOT_GEMM_MR];
    const float *residual_rows[INGOT_GEMM_MR];
    float *out_rows[INGOT_GEMM_MR];
    float *packed = scratch, *copies = scratch + s->k * plan->slice;
    const int64_t chunk_begin = chunk * CHUNK_ROWS, chunk_end = ingot_min64(chunk_begin + CHUNK_ROWS, s->m);

    ingot_gemm_f32 tile = {.rows = rows, .taps = 1, .length = s->k, .out = out_rows, .bias = u->bias};
    tile.residual = u->residual != NULL ? residual_rows : NULL;
    tile.weights = packed;
    tile.panel_stride = s->k * INGOT_GEMM_NR;
    tile.column = u->first;
    tile.columns = u->count;
    ingot_gemm_f32_activation(&tile, &p->activation);
    pack(u->b, u->b_pitch, (int)p->trans_b, s->k, u->first, u->count, p->alpha, packed);
    for (int64_t begin = chunk_begin; begin < chunk_end; begin += COPY_ROWS) {
        const int64_t end = ingot_min64(begin + COPY_ROWS, chunk_end),
                      tiles = ingot_ceil_div(end - begin, INGOT_GEMM_MR);
        if (plan->copy_pitch != 0) {
            copy_rows(plan, p, u, begin, end - begin, copies);
        }
        int64_t row = begin;
        for (int64_t t = 0; t < tiles; t++) {
            tile.mr = (int32_t)((end - row) / (tiles - t));
            for (int r = 0; r < tile.mr; r++, row++) {
                rows[r] = plan->copy_pitch != 0 ? copies + (row - begin) * plan->copy_pitch : u->a + row * u->a_pitch;
                out_rows[r] = u->out + row * u->out_pitch;
                residual_rows[r] = u->residual != NULL ? u->residual + row * u->residual_pitch : NULL;
            }
            isa->tile(&tile);
        }
    }
}

int ingot_matmul_f32_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                         const ingot_gemm_f32_isa *isa) {
    const matmul_plan *plan = call->state;
    const ingot_matmul_shape *s = &plan->shape;
    const ingot_matmul_params *p = call->params;
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *b = &call->in[INGOT_MATMUL_B], *out = &call->out[0];
    const ingot_arg *residual = &call->in[INGOT_MATMUL_RESIDUAL];
    unit_operands u = {.bias = call->in[INGOT_MATMUL_BIAS].data};
    u.a_pitch = a->pitch;
    u.b_pitch = b->pitch;
    u.out_pitch = out->pitch;
    u.residual_pitch = residual->pitch;
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t chunk = unit % plan->chunks, slice = unit / plan->chunks % plan->slices;
        const int64_t batch = unit / plan->chunks / plan->slices;
        int64_t a_matrix, b_matrix;
        ingot_matmul_batch(s, batch, &a_matrix, &b_matrix);
        u.a = (const float *)a->data + a_matrix * a->dims[a->rank - 2] * a->pitch;
        u.b = (const float *)b->data + b_matrix * b->dims[b->rank - 2] * b->pitch;
        u.out = (float *)out->data + batch * s->m * out->pitch;
        u.residual = residual->data != NULL ? (const float *)residual->data + batch * s->m * residual->pitch : NULL;
        u.first = slice * plan->slice;
        u.count = ingot_min64(s->n - u.first, plan->slice);
        if (s->m <= FEW_ROWS) {
            few_rows(plan, p, &u, scratch, isa);
        } else {
            many_rows(plan, p, &u, chunk, scratch, isa);
        }
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(matmul_f32) { return ingot_matmul_f32_run(call, begin, end, scratch, &ingot_gemm_f32__portable); }

const ingot_family ingot_family_matmul_f32 = {
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
