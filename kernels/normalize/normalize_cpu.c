/* normalize: layer, RMS and group normalisation. */
#include "normalize/normalize_f32_impl.h"

#define T double
#define NAME(x) x##_f64
#include "normalize/normalize_body.h"

static int64_t unit_count(const normalize_shape *shape) {
    if (shape->outer == 0) {
        return 0;
    }
    return ((shape->outer - 1) / shape->grain + 1) * shape->blocks;
}

/* A factor or offset has one element for each that is normalised together, or for each channel. */
static const char *check_factor(const ingot_call *call, const ingot_arg *factor, uint8_t dtype) {
    const ingot_normalize_params *p = call->params;
    const ingot_arg *x = &call->in[0];
    uint32_t first = p->kind == INGOT_NORMALIZE_GROUP ? x->rank - 1u : p->axis;
    if (factor->dtype != dtype || factor->rank != x->rank - first) {
        return "normalize: a factor of the wrong type or rank";
    }
    for (uint32_t axis = first; axis < x->rank; axis++) {
        if (factor->dims[axis - first] != x->dims[axis]) {
            return "normalize: a factor of the wrong shape";
        }
    }
    return NULL;
}

static const char *check_shapes(const ingot_call *call, uint8_t dtype) {
    const ingot_normalize_params *p = call->params;
    const ingot_arg *x = &call->in[0];
    for (uint32_t i = 0; i < call->out_count; i++) {
        const ingot_arg *out = &call->out[i];
        if (i > 0 && out->dtype == INGOT_DTYPE_NONE) {
            continue;
        }
        if (out->dtype != dtype || out->rank != x->rank) {
            return "normalize: an output of the wrong type or rank";
        }
        for (uint32_t axis = 0; axis < x->rank; axis++) {
            if (out->dims[axis] != (i > 0 && axis >= p->axis ? 1 : x->dims[axis])) {
                return "normalize: an output of the wrong shape";
            }
        }
    }
    return NULL;
}

const char *ingot_normalize_check(const ingot_call *call, uint8_t dtype, uint8_t factors, uint8_t result) {
    const ingot_normalize_params *p = call->params;
    const ingot_arg *x = &call->in[0];
    if (p->kind >= INGOT_NORMALIZE_KIND_COUNT || p->reserved != 0 || x->dtype != dtype) {
        return "normalize: a kind or an element type out of range";
    }
    if (p->kind == INGOT_NORMALIZE_GROUP) {
        if (x->rank < 2 || p->groups == 0 || x->dims[x->rank - 1] % p->groups != 0 || call->out_count > 1) {
            return "normalize: the groups do not divide the channels";
        }
    } else if (p->axis >= x->rank) {
        return "normalize: the axis is out of range";
    }
    const char *wrong = check_shapes(call, result);
    for (uint32_t i = 1; i < call->in_count && wrong == NULL; i++) {
        if (call->in[i].dtype != INGOT_DTYPE_NONE) {
            wrong = check_factor(call, &call->in[i], factors);
        }
    }
    if (wrong != NULL) {
        return wrong;
    }
    normalize_shape shape = normalize_shape_of(call);
    return unit_count(&shape) > UINT32_MAX ? "normalize: too large" : NULL;
}

static const char *check_f32(const ingot_call *call) {
    return ingot_normalize_check(call, INGOT_F32, INGOT_F32, INGOT_F32);
}
static const char *check_f64(const ingot_call *call) {
    return ingot_normalize_check(call, INGOT_F64, INGOT_F64, INGOT_F64);
}

uint32_t ingot_normalize_units(const ingot_call *call) {
    normalize_shape shape = normalize_shape_of(call);
    return (uint32_t)unit_count(&shape);
}

uint64_t ingot_normalize_scratch_size(const ingot_call *call) {
    const ingot_normalize_params *p = call->params;
    normalize_shape shape = normalize_shape_of(call);
    return p->kind == INGOT_NORMALIZE_GROUP ? (uint64_t)shape.block * 4 * sizeof(double) : 0;
}

#define FAMILY(check_)                                                                                                 \
    {                                                                                                                  \
        .params_size = sizeof(ingot_normalize_params), .in_min = 1, .in_max = 3, .out_min = 1, .out_max = 3,           \
        .inplace = 1, .check = check_, .units = ingot_normalize_units, .scratch_size = ingot_normalize_scratch_size,   \
    }
const ingot_family ingot_family_normalize_f32 = FAMILY(check_f32);
const ingot_family ingot_family_normalize_f64 = FAMILY(check_f64);

INGOT_KERNEL_FN(normalize_f64) {
    const ingot_normalize_params *p = call->params;
    const normalize_shape shape = normalize_shape_of(call);
    for (uint32_t unit = begin; unit < end; unit++) {
        if (p->kind == INGOT_NORMALIZE_GROUP) {
            group_unit_f64(call, &shape, unit, scratch);
        } else {
            row_unit_f64(call, &shape, unit);
        }
    }
    return INGOT_KERNEL_OK;
}
