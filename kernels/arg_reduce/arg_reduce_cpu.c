/* arg_reduce: where the largest or smallest element along an axis stands. */
#include "arg_reduce/arg_reduce_f32_impl.h"
#include "cuda_parts.h"

#define MANY(call, shape, at, end) (at) /* no faster loop */
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

static int64_t unit_count(const arg_reduce_shape *shape) {
    return shape->outer == 0 ? 0 : (shape->outer * shape->inner - 1) / shape->grain + 1;
}

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
    arg_reduce_shape shape = arg_reduce_shape_of(call);
    if (unit_count(&shape) > UINT32_MAX) {
        return "arg_reduce: too large";
    }
    return ingot_parts_check(call, (uint64_t)out->count, 16);
}

static const char *check_f32(const ingot_call *call) {
    return call->in[0].dtype == INGOT_F32 ? check(call) : "arg_reduce_f32: the input is not float32";
}

static const char *check_other(const ingot_call *call) {
    return call->in[0].dtype != INGOT_F32 ? check(call) : "arg_reduce: float32 has a kernel of its own";
}

static uint32_t units(const ingot_call *call) {
    arg_reduce_shape shape = arg_reduce_shape_of(call);
    return (uint32_t)unit_count(&shape);
}

#define FAMILY(check_)                                                                                                 \
    {                                                                                                                  \
        .params_size = sizeof(ingot_arg_reduce_params), .flags = INGOT_KERNEL_EXACT, .in_min = 1, .in_max = 1,         \
        .out_min = 1, .out_max = 1, .check = check_, .units = units,                                                   \
    }
const ingot_family ingot_family_arg_reduce_f32 = FAMILY(check_f32);
const ingot_family ingot_family_arg_reduce = FAMILY(check_other);

INGOT_KERNEL_FN(arg_reduce) {
    (void)scratch;
    const arg_reduce_shape shape = arg_reduce_shape_of(call);
    for (uint32_t unit = begin; unit < end; unit++) {
        switch (call->in[0].dtype) {
        case INGOT_F64: arg_reduce_unit_f64(call, &shape, unit); break;
        case INGOT_I8: arg_reduce_unit_i8(call, &shape, unit); break;
        case INGOT_U8: arg_reduce_unit_u8(call, &shape, unit); break;
        case INGOT_I32: arg_reduce_unit_i32(call, &shape, unit); break;
        default: arg_reduce_unit_i64(call, &shape, unit); break;
        }
    }
    return INGOT_KERNEL_OK;
}
