/* attention on CUDA: its check. */
#include "attention/attention_shape.h"
#include "gemm_half.h"

static int is_real(uint8_t dtype) { return dtype == INGOT_F32 || ingot_is_half(dtype); }

static const char *check(const ingot_call *call) { return attention_check(call, is_real); }

const ingot_family ingot_family_attention_cuda = {
    .params_size = sizeof(ingot_attention_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .check = check,
};
