/* softmax_cuda: the rules of the CPU's softmax, of float64 or of any mixture of float32 and half. */
#include "cuda_types.h"
#include "softmax/softmax_shape.h"

static const char *check(const ingot_call *call) {
    const uint8_t from = call->in[0].dtype, to = call->out[0].dtype;
    return ingot_are_real(from, to) ? ingot_softmax_check(call, from, to) : "softmax: wrong element types";
}

const ingot_family ingot_family_softmax_cuda = {
    .params_size = sizeof(ingot_softmax_params),
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1,
    .check = check,
};
