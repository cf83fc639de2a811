/* softmax_s8: what it takes. */
#include "softmax/softmax_s8_impl.h"

static const char *check(const ingot_call *call) {
    const ingot_softmax_s8_params *p = call->params;
    const ingot_arg *table = &call->in[1];
    const uint8_t result = call->out[0].dtype;
    if (p->softmax.kind != INGOT_SOFTMAX || table->dtype != INGOT_U32 || table->rank != 1 || table->count != 256) {
        return "softmax_s8: another kind, or no table of 256 exponentials";
    }
    const char *wrong = ingot_s8_scales_check(&p->scales, result);
    return wrong == NULL ? ingot_softmax_check(call, INGOT_I8, result) : wrong;
}

const ingot_family ingot_family_softmax_s8 = {
    .params_size = sizeof(ingot_softmax_s8_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 2,
    .in_max = 2,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1,
    .check = check,
    .units = ingot_softmax_units,
};
