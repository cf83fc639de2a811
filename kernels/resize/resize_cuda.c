/* resize_cuda: the rules of the CPU's kernels, of float64 or of any mixture of float32 and half. */
#include "cuda_types.h"
#include "resize/resize_state.h"

static const char *check(const ingot_call *call) {
    const int real = ingot_are_real(call->in[0].dtype, call->out[0].dtype);
    return real ? ingot_resize_check(call) : "resize: wrong element types";
}

const ingot_family ingot_family_resize_cuda = {
    .params_size = sizeof(ingot_resize_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
};
