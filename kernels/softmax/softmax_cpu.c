/* softmax, log_softmax and hardmax along one axis. */
#include <math.h>

#include "softmax/softmax_f32_impl.h"

#define T double
#define NAME(x) x##_f64
#define EXP exp
#define LOG log
#define LOWEST (-__builtin_inf())
#include "softmax/softmax_body.h"

const char *ingot_softmax_check(const ingot_call *call, uint8_t dtype, uint8_t result) {
    const ingot_softmax_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (in->dtype != dtype || out->dtype != result || in->rank != out->rank) {
        return "softmax: wrong element types or ranks";
    }
    if (p->kind >= INGOT_SOFTMAX_KIND_COUNT || p->axis >= in->rank) {
        return "softmax: a kind or an axis out of range";
    }
    for (int axis = 0; axis < in->rank; axis++) {
        if (in->dims[axis] != out->dims[axis]) {
            return "softmax: input and output differ in shape";
        }
    }
    softmax_shape shape = softmax_shape_of(call);
    return softmax_units(&shape) > UINT32_MAX ? "softmax: too large" : NULL;
}

static const char *check_f32(const ingot_call *call) { return ingot_softmax_check(call, INGOT_F32, INGOT_F32); }
static const char *check_f64(const ingot_call *call) { return ingot_softmax_check(call, INGOT_F64, INGOT_F64); }

uint32_t ingot_softmax_units(const ingot_call *call) {
    softmax_shape shape = softmax_shape_of(call);
    return (uint32_t)softmax_units(&shape);
}

#define FAMILY(check_)                                                                                                 \
    {                                                                                                                  \
        .params_size = sizeof(ingot_softmax_params), .in_min = 1, .in_max = 1, .out_min = 1, .out_max = 1,             \
        .inplace = 1, .check = check_, .units = ingot_softmax_units,                                                   \
    }
const ingot_family ingot_family_softmax_f32 = FAMILY(check_f32);
const ingot_family ingot_family_softmax_f64 = FAMILY(check_f64);

INGOT_KERNEL_FN(softmax_f64) {
    (void)scratch;
    for (uint32_t unit = begin; unit < end; unit++) {
        softmax_unit_f64(call, unit);
    }
    return INGOT_KERNEL_OK;
}
