/* What the matrix products of gemm.cu ask of a convolution. */
#include "gemm_cuda.h"

/* Weights [O][depth] in whole chunks: each tap padded to some, or all taps together. */
static const char *weights_check(const ingot_call *call, int64_t size, int32_t least_dilation) {
    const ingot_conv_params *p = call->params; /* those of int8 begin with the same */
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    const int64_t vec = INGOT_CONV_CHUNK / size;
    ingot_conv_shape s;
    if (w->rank != 2 || w->count < 1 || w->pitch != w->dims[1] || w->pitch % vec != 0) {
        return "conv: weights";
    }
    const char *reason = ingot_conv_shape_check_from(call, ingot_conv_count_taps(p, w->count), least_dilation, &s);
    if (reason != NULL) {
        return reason;
    }
    if (s.groups != 1 || s.kernel[0] + s.kernel[1] + s.kernel[2] > INGOT_CONV_MOST_LINES) {
        return "conv: groups, or too large a kernel";
    }
    const int64_t chunked = (s.in_channels + vec - 1) / vec * vec * s.taps;
    const int64_t dense = (s.in_channels * s.taps + vec - 1) / vec * vec;
    if (w->dims[0] != s.out_channels || (w->dims[1] != chunked && w->dims[1] != dense)) {
        return "conv: weights";
    }
    return ingot_gemm_split_check(call);
}

static const char *real_check(const ingot_call *call) {
    const char *reason = ingot_conv_gemm_types_check(call);
    return reason != NULL ? reason : weights_check(call, ingot_conv_gemm_size(call), 1);
}

static const char *s8_check(const ingot_call *call) {
    const char *reason = ingot_conv_s8_operands_check(call);
    return reason != NULL ? reason : weights_check(call, 1, 0);
}

INGOT_CONV_GEMM_FAMILIES(gemm, real_check, s8_check, 0);

/* What gemm_tma.cu asks besides: pixels alone, each where it was, which tensor maps bring as they are. */
static const char *points_check(const ingot_call *call, const char *reason) {
    const ingot_conv_params *p = call->params;
    if (reason != NULL) {
        return reason;
    }
    for (int i = 0; i < 3; i++) {
        if (p->kernel[i] != 1 || p->strides[i] != 1 || p->pads_begin[i] != 0 || p->pads_end[i] != 0) {
            return "conv: not of single pixels";
        }
    }
    return call->in[INGOT_CONV_X].dtype != call->in[INGOT_CONV_W].dtype ? "conv: element type" : NULL;
}

static const char *tma_check(const ingot_call *call) {
    return points_check(call, call->in[INGOT_CONV_W].dtype == INGOT_F32 ? "conv: element type" : real_check(call));
}

static const char *tma_s8_check(const ingot_call *call) { return points_check(call, s8_check(call)); }

INGOT_CONV_GEMM_FAMILIES(tma, tma_check, tma_s8_check, 2);
