/* What kernels over float16 and bfloat16 have in common on every instruction set, and the portable implementation. */

#define HALF_ROW_PANELS 1
#define HALF_FEW_PANELS 1
#define HALF_ROW_BY_ROW 1 /* small matters more */
#include "gemm_half_impl.h"

static int64_t round_up(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/* In bytes. */
static int64_t rows_size(const ingot_half_cut *cut) {
    return round_up(INGOT_GEMM_MR * INGOT_HALF_STEP * ingot_half_steps(cut->depth) * (int64_t)sizeof(float));
}

enum { SUMS_SIZE = INGOT_GEMM_MR * INGOT_HALF_SUMS * (int)sizeof(float) };

static int64_t slice_floats(const ingot_half_cut *cut) {
    return cut->slice_panels * ingot_half_steps(cut->depth) * INGOT_HALF_BLOCK;
}

static int64_t done_size(const ingot_half_cut *cut) { return cut->keeps ? round_up(cut->slices) : 0; }

uint64_t ingot_half_scratch_size(const ingot_half_cut *cut) {
    const int64_t widened = cut->few_rows ? 0 : (cut->keeps ? cut->slices : 1) * slice_floats(cut);
    return (uint64_t)(rows_size(cut) + 2 * SUMS_SIZE + done_size(cut) + widened * (int64_t)sizeof(float));
}

const char *ingot_half_types_check(const ingot_call *call) {
    const uint8_t dtype = call->in[1].dtype, others[] = {call->in[0].dtype, call->out[0].dtype, call->in[3].dtype};
    if (!ingot_is_half(dtype)) {
        return "half: element type of the weights";
    }
    for (int i = 0; i < 3; i++) {
        if (others[i] != dtype && others[i] != INGOT_F32 && (i < 2 || others[i] != INGOT_DTYPE_NONE)) {
            return "half: element types";
        }
    }
    return NULL;
}

void ingot_half_begin(ingot_half_call *half, const ingot_half_isa *isa, const ingot_bf16_dot *dot,
                      const ingot_call *call, const ingot_activation *activation, const ingot_half_cut *cut,
                      void *scratch) {
    const ingot_arg *residual = &call->in[3];
    ingot_gemm_f32 clamp;
    ingot_gemm_f32_activation(&clamp, activation);
    half->isa = isa;
    half->cut = *cut;
    half->weights = call->in[1].data;
    half->dtype = call->in[1].dtype;
    half->x_dtype = call->in[0].dtype;
    const int rounds = half->x_dtype == INGOT_F32 && cut->run < INGOT_HALF_ROUNDED_RUN;
    half->dot = half->dtype == INGOT_BF16 && !rounds ? dot : NULL;
    half->finish = (ingot_half_finish){
        .out = half->out,
        .residual = residual->data != NULL ? half->residual : NULL,
        .bias = call->in[2].data,
        .lo = clamp.lo,
        .hi = clamp.hi,
        .activation = clamp.activation,
        .out_dtype = call->out[0].dtype,
        .residual_dtype = residual->dtype,
    };
    char *at = scratch;
    half->rows_at = (float *)(void *)at;
    at += rows_size(cut);
    half->finish.sums = half->sums_at = (float *)(void *)at;
    at += SUMS_SIZE;
    half->residual_at = (float *)(void *)at;
    at += SUMS_SIZE;
    half->done = (uint8_t *)at;
    half->widened_at = (float *)(void *)(at + done_size(cut));
    half->held = -1;
    half->skip = 0;
    if (cut->keeps && !half->dot) {
        memset(half->done, 0, (size_t)cut->slices);
    }
}

void ingot_half_point(ingot_half_call *half, const void *const *rows, int64_t taps, int64_t length, int64_t mr) {
    half->finish.mr = (int32_t)mr;
    const int direct = half->dot != NULL ? half->x_dtype == INGOT_BF16 && length % INGOT_HALF_STEP == 0
                                         : half->x_dtype == INGOT_F32 && !half->cut.few_rows;
    if (direct) {
        half->rows = rows;
        half->taps = taps;
        half->length = length;
        return;
    }
    const int whole = half->dot != NULL || half->cut.few_rows; /* steps */
    const int64_t depth = taps * length;
    const int64_t pitch = whole ? INGOT_HALF_STEP * ingot_half_steps(depth) : depth;
    const int64_t element = half->dot ? (int64_t)sizeof(uint16_t) : (int64_t)sizeof(float);
    const ingot_half_rows task = {rows, taps, length, half->rows_at, pitch, (int32_t)mr, half->x_dtype};
    (half->dot ? half->dot->rows : half->isa->rows)(&task);
    for (int64_t r = 0; r < mr; r++) {
        half->gathered[r] = (const char *)half->rows_at + r * pitch * element;
    }
    half->rows = half->gathered;
    half->taps = 1;
    half->length = pitch;
}

/* The weights of a slice in float. */
static const float *widened(ingot_half_call *half, int64_t slice, const uint16_t *weights, int64_t panels) {
    const ingot_half_cut *cut = &half->cut;
    float *to = half->widened_at + (cut->keeps ? slice * slice_floats(cut) : 0);
    if (cut->keeps ? !half->done[slice] : half->held != slice) {
        half->isa->weights(half->dtype, weights, panels * ingot_half_steps(cut->depth), to);
        half->held = slice;
        if (cut->keeps) {
            half->done[slice] = 1;
        }
    }
    return to;
}

/* The float32 micro-kernel on widened operands, the residual among them, epilogue and all; results that are stored in
 * half are narrowed afterwards. */
static void wide_tile(ingot_half_call *half, const float *weights) {
    const ingot_half_finish *finish = &half->finish;
    const int narrows = finish->out_dtype != INGOT_F32;
    float *rows[INGOT_GEMM_MR];
    const float *residual[INGOT_GEMM_MR];
    ingot_gemm_f32 tile = {
        .rows = half->rows,
        .taps = half->taps,
        .length = half->length,
        .weights = weights,
        .panel_stride = ingot_half_steps(half->cut.depth) * INGOT_HALF_BLOCK,
        .out = rows,
        .residual = finish->residual != NULL ? residual : NULL,
        .bias = finish->bias != NULL ? finish->bias + finish->column : NULL,
        .columns = finish->columns,
        .mr = finish->mr,
        .lo = finish->lo,
        .hi = finish->hi,
        .activation = finish->activation,
    };
    for (int r = 0; r < finish->mr; r++) {
        rows[r] = narrows ? half->sums_at + r * INGOT_HALF_SUMS : (float *)finish->out[r] + finish->column;
        if (finish->residual != NULL && finish->residual_dtype == INGOT_F32) {
            residual[r] = (const float *)finish->residual[r] + finish->column;
        } else if (finish->residual != NULL) {
            float *to = half->residual_at + r * INGOT_HALF_SUMS;
            half->isa->widen(finish->residual_dtype, (const uint16_t *)finish->residual[r] + finish->column, 0, to, 0,
                             1, finish->columns);
            residual[r] = to;
        }
    }
    half->isa->f32->tile(&tile);
    if (narrows) {
        ingot_half_finish store = *finish;
        store.stores_only = 1;
        half->isa->finish(&store);
    }
}

void ingot_half_slice(ingot_half_call *half, int64_t slice, int64_t panel, int64_t column, int64_t columns) {
    const int64_t stride = ingot_half_steps(half->cut.depth) * INGOT_HALF_BLOCK;
    const int64_t panels = (columns + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR;
    const uint16_t *weights = half->weights + panel * stride;
    half->finish.column = column;
    half->finish.columns = columns;
    if (half->dot || half->cut.few_rows) {
        const ingot_half_sums tile = {
            .rows = half->rows,
            .taps = half->taps,
            .steps = half->length / INGOT_HALF_STEP,
            .weights = weights + half->skip * INGOT_GEMM_NR,
            .panel_stride = stride,
            .panels = panels,
            .last = columns - (panels - 1) * INGOT_GEMM_NR,
            .sums = half->sums_at,
            .pitch = INGOT_HALF_SUMS,
            .mr = half->finish.mr,
            .dtype = half->dtype,
        };
        (half->dot ? half->dot->tile : half->isa->few)(&tile);
        (half->dot ? half->dot->finish : half->isa->finish)(&half->finish);
    } else {
        wide_tile(half, widened(half, slice, weights, panels) + half->skip * INGOT_GEMM_NR);
    }
}
