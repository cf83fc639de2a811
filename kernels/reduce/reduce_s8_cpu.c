/* reduce_s8: what may be added up. Maxima and minima of int8 are the kernel reduce. */
#include "reduce/reduce_s8_impl.h"

static const char *check(const ingot_call *call) {
    const ingot_reduce_s8_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (in->dtype != INGOT_I8 || (p->reduce.kind != INGOT_REDUCE_SUM && p->reduce.kind != INGOT_REDUCE_MEAN)) {
        return "reduce_s8: sums and means of int8 only";
    }
    const char *wrong = ingot_s8_scales_check(&p->scales, out->dtype);
    if (wrong == NULL) {
        wrong = ingot_reduce_check(call, out->dtype);
    }
    if (wrong == NULL && out->count > 0 && in->count / out->count > INGOT_S8_TERMS_MAX) {
        return "reduce_s8: a sum may overflow";
    }
    return wrong;
}

const ingot_family ingot_family_reduce_s8 = {
    .params_size = sizeof(ingot_reduce_s8_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = ingot_reduce_units,
    .state_size = ingot_reduce_state_size,
    .prepare = ingot_reduce_prepare,
};
