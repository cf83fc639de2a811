/* attention: its check. */
#include "attention/attention_impl.h"

static int is_f32(uint8_t dtype) { return dtype == INGOT_F32; }

static const char *check(const ingot_call *call) { return attention_check(call, is_f32); }

static uint64_t scratch_size(const ingot_call *call) {
    const attention_shape s = attention_shape_of(call);
    attention_scratch scratch;
    return s.batch == 0 ? 0 : (uint64_t)attention_layout(&s, NULL, &scratch) * sizeof(float);
}

const ingot_family ingot_family_attention_f32 = {
    .params_size = sizeof(ingot_attention_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 3,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = attention_units,
    .scratch_size = scratch_size,
};
