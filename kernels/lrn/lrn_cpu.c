/* lrn: local response normalisation across channels. */
#include <math.h>

#include "lrn/lrn_f32_impl.h"

#define T double
#define NAME(x) x##_f64
#define SQRT sqrt
#define POW pow
#define KERNEL lrn_f64
#include "lrn/lrn_body.h"

static uint64_t unit_count(const ingot_call *call) {
    const ingot_arg *in = &call->in[0];
    return in->count == 0 ? 0 : (uint64_t)((in->count / in->dims[in->rank - 1] - 1) / LRN_PIXELS + 1);
}

static const char *check(const ingot_call *call, uint8_t dtype) {
    const ingot_lrn_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (in->dtype != dtype || out->dtype != dtype || in->rank != out->rank || in->rank < 1) {
        return "lrn: wrong element types or ranks";
    }
    for (int axis = 0; axis < in->rank; axis++) {
        if (in->dims[axis] != out->dims[axis]) {
            return "lrn: input and output differ in shape";
        }
    }
    if (p->size < 1) {
        return "lrn: the size is out of range";
    }
    return unit_count(call) > UINT32_MAX ? "lrn: too large" : NULL;
}

static const char *check_f32(const ingot_call *call) { return check(call, INGOT_F32); }
static const char *check_f64(const ingot_call *call) { return check(call, INGOT_F64); }

static uint32_t units(const ingot_call *call) { return (uint32_t)unit_count(call); }

static uint64_t scratch_size(const ingot_call *call) {
    const ingot_arg *in = &call->in[0];
    return in->count == 0 ? 0 : (uint64_t)in->dims[in->rank - 1] * 2 * sizeof(double);
}

#define FAMILY(check_)                                                                                                 \
    {                                                                                                                  \
        .params_size = sizeof(ingot_lrn_params), .in_min = 1, .in_max = 1, .out_min = 1, .out_max = 1,                 \
        .check = check_, .units = units, .scratch_size = scratch_size,                                                 \
    }
const ingot_family ingot_family_lrn_f32 = FAMILY(check_f32);
const ingot_family ingot_family_lrn_f64 = FAMILY(check_f64);
