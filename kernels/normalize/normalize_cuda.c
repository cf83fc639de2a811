/* normalize_cuda: the rules of the CPU's kernels, of float64 or of any mixture of float32 and half; factors, offsets
 * and moments are of the type that is computed in. Absent operands are spelled out. */
#include "cuda_types.h"
#include "normalize/normalize_shape.h"

static const char *check(const ingot_call *call) {
    const uint8_t from = call->in[0].dtype, to = call->out[0].dtype;
    const uint8_t factors = from == INGOT_F64 ? INGOT_F64 : INGOT_F32;
    if (!ingot_are_real(from, to)) {
        return "normalize: wrong element types";
    }
    for (uint32_t i = 1; i < call->out_count; i++) {
        const uint8_t dtype = call->out[i].dtype;
        if (to != factors || (dtype != INGOT_DTYPE_NONE && dtype != factors)) {
            return "normalize: moments beside a result in half";
        }
    }
    return ingot_normalize_check(call, from, factors, to);
}

const ingot_family ingot_family_normalize_cuda = {
    .params_size = sizeof(ingot_normalize_params),
    .in_min = 3,
    .in_max = 3,
    .out_min = 1,
    .out_max = 3,
    .inplace = 1,
    .check = check,
};
