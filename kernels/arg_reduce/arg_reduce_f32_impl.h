/* arg_reduce_f32, compiled once for each instruction set. */
#include "arg_reduce/arg_reduce.h"

#include "kernel.h"

enum { COLUMNS = 64 };

/* The input seen as [outer][n][inner]; a unit does `grain` of the outer * inner results. */
typedef struct arg_reduce_shape {
    int64_t outer, n, inner, grain;
} arg_reduce_shape;

static inline arg_reduce_shape arg_reduce_shape_of(const ingot_call *call) {
    const ingot_arg_reduce_params *p = call->params;
    const ingot_arg *in = &call->in[0];
    arg_reduce_shape shape = {1, in->dims[p->axis], 1, 1};
    if (in->count == 0) {
        shape.outer = 0;
        return shape;
    }
    for (uint32_t axis = 0; axis < in->rank; axis++) {
        int64_t *side = axis < p->axis ? &shape.outer : &shape.inner;
        *side *= axis == p->axis ? 1 : in->dims[axis];
    }
    shape.grain = shape.n < 256 ? 16384 / shape.n : COLUMNS;
    return shape;
}

/* Many float32 results side by side: column j begins at x + j * pitch. Compares and selects that vectorise. */
static inline __attribute__((always_inline)) void columns_as(int64_t *out, const float *x, int64_t n, int64_t step,
                                                             int64_t pitch, int smallest, int last) {
    float best[COLUMNS], gathered[COLUMNS];
    int32_t at[COLUMNS];
    for (int j = 0; j < COLUMNS; j++) {
        best[j] = x[j * pitch];
        at[j] = 0;
    }
    for (int32_t i = 1; i < n; i++) {
        const float *row = x + i * step;
        if (pitch != 1) {
            for (int j = 0; j < COLUMNS; j++) gathered[j] = row[j * pitch];
            row = gathered;
        }
        for (int j = 0; j < COLUMNS; j++) {
            float v = row[j], a = best[j];
            int better = smallest ? (last ? v <= a : v < a) : (last ? v >= a : v > a);
            int take = last ? (v != v) | ((a == a) & better) : (a == a) & ((v != v) | better);
            best[j] = take ? v : a;
            at[j] = take ? i : at[j];
        }
    }
    for (int j = 0; j < COLUMNS; j++) out[j] = at[j];
}

static void columns(const ingot_arg_reduce_params *p, int64_t *out, const float *x, int64_t n, int64_t step,
                    int64_t pitch) {
    if (p->smallest) {
        p->last ? columns_as(out, x, n, step, pitch, 1, 1) : columns_as(out, x, n, step, pitch, 1, 0);
    } else {
        p->last ? columns_as(out, x, n, step, pitch, 0, 1) : columns_as(out, x, n, step, pitch, 0, 0);
    }
}

/* Does as many results of a float32 unit as `columns` can, from `at` on, and says where it stopped. */
static int64_t columns_from(const ingot_call *call, const arg_reduce_shape *shape, int64_t at, int64_t end) {
    const float *x = call->in[0].data;
    int64_t *out = call->out[0].data;
    if (shape->inner == 1 && shape->n <= 256) {
        for (; at + COLUMNS <= end; at += COLUMNS) {
            columns(call->params, out + at, x + at * shape->n, shape->n, 1, shape->n);
        }
    }
    while (shape->inner > 1 && at + COLUMNS <= end && at % shape->inner + COLUMNS <= shape->inner) {
        const float *column = x + at / shape->inner * shape->inner * shape->n + at % shape->inner;
        columns(call->params, out + at, column, shape->n, shape->inner, 1);
        at += COLUMNS;
    }
    return at;
}

#define MANY columns_from
#define T float
#define NAME(x) x##_f32
#include "arg_reduce/arg_reduce_body.h"
#undef MANY

INGOT_KERNEL_FN(arg_reduce_f32) {
    (void)scratch;
    const arg_reduce_shape shape = arg_reduce_shape_of(call);
    for (uint32_t unit = begin; unit < end; unit++) {
        arg_reduce_unit_f32(call, &shape, unit);
    }
    return INGOT_KERNEL_OK;
}
