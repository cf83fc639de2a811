/* What the matrix products of gemm.cu ask of a convolution. */
#include "conv_s8.h"
#include "gemm_half.h"
#include "gemm_split.h"

enum { CHUNK_BYTES = 16, MOST_LINES = 31 };

/* Weights [O][depth] in whole chunks: each tap padded to some, or all taps together. */
static const char *weights_check(const ingot_call *call, int64_t size, int32_t least_dilation) {
    const ingot_conv_params *p = call->params; /* those of int8 begin with the same */
    const ingot_arg *w = &call->in[INGOT_CONV_W];
    const int64_t vec = CHUNK_BYTES / size;
    ingot_conv_shape s;
    if (w->rank != 2 || w->count < 1 || w->pitch != w->dims[1] || w->pitch % vec != 0) {
        return "conv: weights";
    }
    const char *reason = ingot_conv_shape_check_from(call, ingot_conv_count_taps(p, w->count), least_dilation, &s);
    if (reason != NULL) {
        return reason;
    }
    if (s.groups != 1 || s.kernel[0] + s.kernel[1] + s.kernel[2] > MOST_LINES) {
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
    return reason != NULL ? reason : weights_check(call, w->dtype == INGOT_F32 ? 4 : 2, 1);
}

const ingot_family ingot_family_conv_gemm_cuda = {
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
    return reason != NULL ? reason : weights_check(call, 1, 0);
}

const ingot_family ingot_family_conv_gemm_s8_cuda = {
    .params_size = sizeof(ingot_conv_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 6,
    .in_max = 6,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = s8_check,
};

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

const ingot_family ingot_family_conv_tma_cuda = {
    .params_size = sizeof(ingot_conv_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .maps = 2,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = tma_check,
};

const ingot_family ingot_family_conv_tma_s8_cuda = {
    .params_size = sizeof(ingot_conv_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 6,
    .in_max = 6,
    .out_min = 1,
    .out_max = 1,
    .maps = 2,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = tma_s8_check,
};
