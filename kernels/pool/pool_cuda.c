/* pool_cuda: the rules of the CPU's kernels, of float64 or of any mixture of float32 and half. */
#include "cuda_types.h"
#include "pool/pool_plan.h"

static const char *check(const ingot_call *call) {
    const uint8_t from = call->in[0].dtype, to = call->out[0].dtype;
    return ingot_are_real(from, to) ? ingot_pool_check(call, to) : "pool: wrong element types";
}

const ingot_family ingot_family_pool_cuda = {
    .params_size = sizeof(ingot_pool_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
};
