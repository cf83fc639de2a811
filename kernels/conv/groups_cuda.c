/* What groups.cu asks of a convolution. */
#include "gemm_cuda.h"

enum { EIGHT = 8 /* columns that are stored at once */ };

/* A bundle of groups for each step of the grid along z, and weights [O][taps][channels of one in whole chunks]. */
static const char *groups_check(const ingot_call *call, int64_t size) {
    const ingot_conv_params *p = call->params; /* those of int8 begin with the same */
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    const int64_t bundles = call->grid->grid[2], vec = INGOT_CONV_CHUNK / size;
    ingot_conv_shape s;
    if (w->rank != 2 || w->count < 1 || w->pitch != w->dims[1]) {
        return "conv: weights";
    }
    const char *reason = ingot_conv_shape_check(call, ingot_conv_count_taps(p, w->count), &s);
    if (reason != NULL) {
        return reason;
    }
    if (bundles < 1 || s.groups % bundles != 0 || s.kernel[0] + s.kernel[1] + s.kernel[2] > INGOT_CONV_MOST_LINES) {
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
    const char *reason = ingot_conv_gemm_types_check(call);
    return reason != NULL ? reason : groups_check(call, ingot_conv_gemm_size(call));
}

static const char *s8_check(const ingot_call *call) {
    const char *reason = ingot_conv_s8_operands_check(call);
    return reason != NULL ? reason : groups_check(call, 1);
}

INGOT_CONV_GEMM_FAMILIES(groups, real_check, s8_check, 0);
