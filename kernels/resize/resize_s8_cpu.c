/* resize_s8: what it takes, and weights as whole numbers. */
#include "resize/resize_s8_impl.h"

static const char *check(const ingot_call *call) {
    const ingot_resize_s8_params *p = call->params;
    const ingot_resize_params *r = &p->resize;
    const uint32_t second = r->axes & (r->axes - 1);
    if (call->in[0].dtype != INGOT_I8 || r->mode != INGOT_RESIZE_LINEAR || r->antialias != 0 ||
        r->exclude_outside != 0 || r->coordinate == INGOT_RESIZE_TF_CROP_AND_RESIZE || (second & (second - 1)) != 0 ||
        r->axes >> call->in[0].rank != 0) {
        return "resize_s8: plain linear interpolation of int8 along two axes only";
    }
    const char *wrong = ingot_s8_scales_check(&p->scales, call->out[0].dtype);
    return wrong == NULL ? ingot_resize_check(call) : wrong;
}

/* The weight of the left element is rounded, half to even; the right one has the rest. */
static void prepare(const ingot_call *call) {
    const double magic = 6755399441055744.0, one = 1 << INGOT_RESIZE_S8_BITS; /* 1.5 * 2^52 */
    resize_state *state = call->state;
    ingot_resize_prepare(call);
    if (call->out[0].count == 0) {
        return;
    }
    for (uint32_t axis = 0; axis <= state->row_axis; axis++) {
        resize_tap *tap = state->tap + state->first[axis];
        for (int64_t i = 0; state->taps[axis] == 2 && i < call->out[0].dims[axis]; i++, tap += 2) {
            tap[0].weight = (tap[0].weight * one + magic) - magic;
            tap[1].weight = one - tap[0].weight;
        }
    }
}

const ingot_family ingot_family_resize_s8 = {
    .params_size = sizeof(ingot_resize_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = ingot_resize_units,
    .state_size = ingot_resize_state_size,
    .prepare = prepare,
    .scratch_size = ingot_resize_scratch_size,
};
