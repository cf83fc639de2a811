/* pool: the check and plan that all poolings share, and the kernel for every type, kind and the indices of maxima. */
#include <math.h>

#include "pool/pool_f32_impl.h"
#include "vmath.h"

/* Where an element is in one channel's plane. */
static int64_t pool_index(const pool_plan *plan, uint32_t storage_order, int64_t z, int64_t y, int64_t x) {
    int64_t in_z = plan->axis[0].in, in_y = plan->axis[1].in, in_x = plan->axis[2].in;
    return storage_order == 0 ? (z * in_y + y) * in_x + x : z + (y + x * in_y) * in_z;
}

#define T float
#define NAME(x) x##_f32
#define LOWEST (-INGOT_INF_F32)
#define IS_FLOAT 1
#define FABS ingot_abs_f32
#define POW ingot_pow_f32
#include "pool/pool_body.h"

#define T double
#define NAME(x) x##_f64
#define LOWEST (-__builtin_inf())
#define IS_FLOAT 1
#define FABS fabs
#define POW pow
#include "pool/pool_body.h"

#define T int8_t
#define NAME(x) x##_i8
#define LOWEST INT8_MIN
#define IS_FLOAT 0
#include "pool/pool_body.h"

#define T uint8_t
#define NAME(x) x##_u8
#define LOWEST 0
#define IS_FLOAT 0
#include "pool/pool_body.h"

static const char *check_axis(const ingot_pool_params *p, int axis, int64_t in, int64_t out) {
    if (in > INT32_MAX || out > INT32_MAX) {
        return "pool: an extent is too large";
    }
    if (p->kernel[axis] < 1 || p->stride[axis] < 1 || p->dilation[axis] < 1 || p->pad_begin[axis] < 0 ||
        p->pad_end[axis] < 0) {
        return "pool: a window, stride, dilation or pad out of range";
    }
    return NULL;
}

static uint64_t unit_count(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    if (out->count == 0) {
        return 0;
    }
    return (uint64_t)(out->count / (out->dims[out->rank - 1] * out->dims[out->rank - 2]));
}

const char *ingot_pool_check(const ingot_call *call, uint8_t result) {
    const ingot_pool_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (p->kind >= INGOT_POOL_KIND_COUNT || p->storage_order > 1 || (p->kind == INGOT_POOL_LP && p->p < 1)) {
        return "pool: a kind, an order or an exponent out of range";
    }
    if (out->dtype != result || in->rank != out->rank || in->rank < 3 || in->rank > 2 + INGOT_POOL_MAX_SPATIAL) {
        return "pool: wrong types or ranks";
    }
    if (in->dims[0] != out->dims[0] || in->dims[in->rank - 1] != out->dims[in->rank - 1]) {
        return "pool: input and output differ in batch or channels";
    }
    for (int axis = 0; axis < in->rank - 2; axis++) {
        const char *wrong = check_axis(p, axis, in->dims[axis + 1], out->dims[axis + 1]);
        if (wrong != NULL) {
            return wrong;
        }
    }
    return unit_count(call) > UINT32_MAX ? "pool: too large" : NULL;
}

static const char *check_f32(const ingot_call *call) {
    const ingot_pool_params *p = call->params;
    if (call->in[0].dtype != INGOT_F32 || p->kind == INGOT_POOL_LP) {
        return "pool_f32: maxima and averages of float32 only";
    }
    return ingot_pool_check(call, call->in[0].dtype);
}

static const char *check_any(const ingot_call *call) {
    const ingot_pool_params *p = call->params;
    switch (call->in[0].dtype) {
    case INGOT_F32:
    case INGOT_F64: break;
    case INGOT_I8:
    case INGOT_U8:
        if (p->kind != INGOT_POOL_MAX) {
            return "pool: bytes have a maximum only";
        }
        break;
    default: return "pool: no such element type";
    }
    if (call->out_count > 1) {
        const ingot_arg *value = &call->out[0], *index = &call->out[1];
        if (p->kind != INGOT_POOL_MAX || index->dtype != INGOT_I64 || index->rank != value->rank) {
            return "pool: the second output is the int64 indices of maxima";
        }
        for (int axis = 0; axis < value->rank; axis++) {
            if (index->dims[axis] != value->dims[axis]) {
                return "pool: values and indices differ in shape";
            }
        }
    }
    return ingot_pool_check(call, call->in[0].dtype);
}

uint32_t ingot_pool_units(const ingot_call *call) { return (uint32_t)unit_count(call); }

static uint64_t scratch_size(const ingot_call *call) {
    if (call->in[0].count == 0) {
        return 0;
    }
    pool_plan plan = pool_plan_of(call);
    return pool_is_separable(&plan) ? (uint64_t)(plan.axis[2].in * plan.channels + 16) * sizeof(float) : 0;
}

const ingot_family ingot_family_pool_f32 = {
    .params_size = sizeof(ingot_pool_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check_f32,
    .units = ingot_pool_units,
    .scratch_size = scratch_size,
};
const ingot_family ingot_family_pool = {
    .params_size = sizeof(ingot_pool_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 2,
    .check = check_any,
    .units = ingot_pool_units,
};

INGOT_KERNEL_FN(pool) {
    (void)scratch;
    const pool_plan plan = pool_plan_of(call);
    for (uint32_t unit = begin; unit < end; unit++) {
        switch (call->in[0].dtype) {
        case INGOT_F32: pool_unit_f32(call, &plan, unit); break;
        case INGOT_F64: pool_unit_f64(call, &plan, unit); break;
        case INGOT_I8: pool_unit_i8(call, &plan, unit); break;
        default: pool_unit_u8(call, &plan, unit); break;
        }
    }
    return INGOT_KERNEL_OK;
}
