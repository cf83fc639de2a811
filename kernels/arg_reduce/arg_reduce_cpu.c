/* arg_reduce: where the largest or smallest element along an axis stands. */
#include "arg_reduce/arg_reduce.h"

#include "kernel.h"

enum { COLUMNS = 64 };

/* The input seen as [outer][n][inner]; a unit does `grain` of the outer * inner results. */
typedef struct arg_reduce_shape {
    int64_t outer, n, inner, grain;
} arg_reduce_shape;

#define MANY(call, shape, at, end) (at)
#define T double
#define NAME(x) x##_f64
#include "arg_reduce/arg_reduce_body.h"
#define T int8_t
#define NAME(x) x##_i8
#include "arg_reduce/arg_reduce_body.h"
#define T uint8_t
#define NAME(x) x##_u8
#include "arg_reduce/arg_reduce_body.h"
#define T int32_t
#define NAME(x) x##_i32
#include "arg_reduce/arg_reduce_body.h"
#define T int64_t
#define NAME(x) x##_i64
#include "arg_reduce/arg_reduce_body.h"

static arg_reduce_shape shape_of(const ingot_call *call) {
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

static int64_t unit_count(const arg_reduce_shape *shape) {
    return shape->outer == 0 ? 0 : (shape->outer * shape->inner - 1) / shape->grain + 1;
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

#undef MANY
#define MANY columns_from
#define T float
#define NAME(x) x##_f32
#include "arg_reduce/arg_reduce_body.h"

static const char *check(const ingot_call *call) {
    const ingot_arg_reduce_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    switch (in->dtype) {
    case INGOT_F32:
    case INGOT_F64:
    case INGOT_I8:
    case INGOT_U8:
    case INGOT_I32:
    case INGOT_I64: break;
    default: return "arg_reduce: no such element type";
    }
    if (out->dtype != INGOT_I64 || in->rank != out->rank || p->axis >= in->rank || p->smallest > 1 || p->last > 1) {
        return "arg_reduce: a type, rank, axis or flag out of range";
    }
    for (uint32_t axis = 0; axis < in->rank; axis++) {
        if (out->dims[axis] != (axis == p->axis ? 1 : in->dims[axis])) {
            return "arg_reduce: the output has the wrong shape";
        }
    }
    if (in->dims[p->axis] > INT32_MAX || (in->count == 0 && out->count != 0)) {
        return "arg_reduce: an axis that is empty or too long";
    }
    arg_reduce_shape shape = shape_of(call);
    return unit_count(&shape) > UINT32_MAX ? "arg_reduce: too large" : NULL;
}

static uint32_t units(const ingot_call *call) {
    arg_reduce_shape shape = shape_of(call);
    return (uint32_t)unit_count(&shape);
}

const ingot_family ingot_family_arg_reduce = {
    .params_size = sizeof(ingot_arg_reduce_params), .flags = INGOT_KERNEL_EXACT, .in_min = 1, .in_max = 1,
    .out_min = 1, .out_max = 1, .check = check, .units = units,
};

INGOT_KERNEL_FN(arg_reduce) {
    (void)scratch;
    const arg_reduce_shape shape = shape_of(call);
    for (uint32_t unit = begin; unit < end; unit++) {
        switch (call->in[0].dtype) {
        case INGOT_F32: arg_reduce_unit_f32(call, &shape, unit); break;
        case INGOT_F64: arg_reduce_unit_f64(call, &shape, unit); break;
        case INGOT_I8: arg_reduce_unit_i8(call, &shape, unit); break;
        case INGOT_U8: arg_reduce_unit_u8(call, &shape, unit); break;
        case INGOT_I32: arg_reduce_unit_i32(call, &shape, unit); break;
        default: arg_reduce_unit_i64(call, &shape, unit); break;
        }
    }
    return INGOT_KERNEL_OK;
}
