/* What the matrix products of gemm.cu ask of a convolution whose windows lie side by side (cuda_patches.h). */
#include "gemm_cuda.h"

/* Windows side by side along the last axis, inside the image, and weights in whole chunks. */
static const char *patches_check(const ingot_call *call, int64_t size) {
    const ingot_conv_params *p = call->params; /* those of int8 begin with the same */
    const ingot_arg *x = &call->in[INGOT_CONV_X], *w = &call->in[INGOT_CONV_W];
    ingot_conv_shape s;
    if (w->rank != 2 || w->count < 1 || w->pitch != w->dims[1]) {
        return "conv: weights";
    }
    const char *reason = ingot_conv_shape_check(call, ingot_conv_count_taps(p, w->count), &s);
    if (reason != NULL) {
        return reason;
    }
    if (s.groups != 1 || s.kernel[0] + s.kernel[1] + 1 > INGOT_CONV_MOST_LINES) {
        return "conv: groups, or too large a kernel";
    }
    for (int i = 0; i < 3; i++) {
        if (p->pads_begin[i] != 0 || p->pads_end[i] != 0 || p->dilations[i] != 1) {
            return "conv: pads or dilations";
        }
    }
    if (s.stride[2] != s.kernel[2] || s.in[2] % s.kernel[2] != 0 || x->pitch != s.in_channels) {
        return "conv: not patches side by side";
    }
    if (s.kernel[2] * s.in_channels * size % INGOT_CONV_CHUNK != 0 || w->dims[0] != s.out_channels ||
        w->dims[1] != s.taps * s.in_channels) {
        return "conv: weights";
    }
    return ingot_gemm_split_check(call);
}

static const char *real_check(const ingot_call *call) {
    const char *reason = ingot_conv_gemm_types_check(call);
    return reason != NULL ? reason : patches_check(call, ingot_conv_gemm_size(call));
}

static const char *s8_check(const ingot_call *call) {
    const char *reason = ingot_conv_s8_operands_check(call);
    return reason != NULL ? reason : patches_check(call, 1);
}

INGOT_CONV_GEMM_FAMILIES(patches, real_check, s8_check, 0);
