/* What groups.cu asks of a convolution. */
#include "conv_s8.h"
#include "gemm_half.h"

enum { CHUNK_BYTES = 16, MOST_LINES = 31, EIGHT = 8 /* columns that are stored at once */ };

/* A bundle of groups for each step of the grid along z, and weights [O][taps][channels of one in whole chunks]. */
static const char *groups_check(const ingot_call *call, int64_t size) {
    const ingot_conv_params *p = call->params; /* those of int8 begin with the same */
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    const int64_t bundles = call->grid->grid[2], vec = CHUNK_BYTES / size;
    ingot_conv_shape s;
    if (w->rank != 2 || w->count < 1 || w->pitch != w->dims[1]) {
        return "conv: weights";
    }
    const char *reason = ingot_conv_shape_check(call, ingot_conv_count_taps(p, w->count), &s);
    if (reason != NULL) {
        return reason;
    }
    if (bundles < 1 || s.groups % bundles != 0 || s.kernel[0] + s.kernel[1] + s.kernel[2] > MOST_LINES) {
        return "conv: bundles of groups, or too large a kernel";
    }
    if (bundles > 1 && s.out_channels / bundles % EIGHT != 0) {
        return "conv: channels of a bundle";
    }
    const int64_t padded = (s.in_channels / bundles + vec - 1) / vec * vec;
    return w->dims[0] != s.out_channels || w->dims[1] % padded != 0 || w->dims[1] / padded != s.taps ? "conv: weights"
                                                                                                     : NULL;
}

static const char *real_check(const ingot_call *call) {
    const ingot_arg *x = &call->in[INGOT_CONV_X], *w = &call->in[INGOT_CONV_W];
    const char *reason;
    if (w->dtype == INGOT_F32) {
        reason = ingot_conv_operands_check(call, INGOT_F32, INGOT_F32);
    } else {
        reason = ingot_half_types_check(call);
        if (reason == NULL) {
            reason = ingot_conv_types_check(call, x->dtype, call->out[0].dtype, call->in[INGOT_CONV_RESIDUAL].dtype,
                                            INGOT_F32);
        }
    }
    return reason != NULL ? reason : groups_check(call, w->dtype == INGOT_F32 ? 4 : 2);
}

const ingot_family ingot_family_conv_groups_cuda = {
    .params_size = sizeof(ingot_conv_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = real_check,
};

static const char *s8_check(const ingot_call *call) {
    const char *reason = ingot_conv_s8_operands_check(call);
    return reason != NULL ? reason : groups_check(call, 1);
}

const ingot_family ingot_family_conv_groups_s8_cuda = {
    .params_size = sizeof(ingot_conv_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 6,
    .in_max = 6,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = s8_check,
};
