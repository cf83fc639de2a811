/* reduce_cuda: the rules of the CPU's kernels, of float64 or of any mixture of float32 and half. */
#include "cuda_types.h"
#include "reduce/reduce.h"
#include "reduce/reduce_plan.h"

static const char *check(const ingot_call *call) {
    const uint8_t from = call->in[0].dtype, to = call->out[0].dtype;
    return ingot_are_real(from, to) ? ingot_reduce_check(call, to) : "reduce: wrong element types";
}

const ingot_family ingot_family_reduce_cuda = {
    .params_size = sizeof(ingot_reduce_params),
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
};
