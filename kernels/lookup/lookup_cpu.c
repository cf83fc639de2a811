/* lookup_s8: every element is replaced by its entry of a table. */
#include "lookup/lookup_body.h"

static const char *check(const ingot_call *call) {
    const ingot_arg *x = &call->in[0], *table = &call->in[1], *y = &call->out[0];
    if (((const ingot_lookup_params *)call->params)->reserved != 0) {
        return "lookup: a reserved field is not zero";
    }
    if (x->dtype != INGOT_I8 || y->dtype != INGOT_I8 || !ingot_same_shape(x, y)) {
        return "lookup: operands";
    }
    return table->dtype == INGOT_I8 && table->rank == 1 && table->count == 256 ? NULL : "lookup: table";
}

static uint32_t units(const ingot_call *call) { return lookup_units(call); }

LOOKUP_S8(lookup_each)

const ingot_family ingot_family_lookup_s8 = {
    .params_size = sizeof(ingot_lookup_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 2,
    .in_max = 2,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u,
    .check = check,
    .units = units,
};
