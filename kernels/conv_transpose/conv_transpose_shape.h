/* The extents of a transposed convolution, brought to three spatial axes and proven to fit together.
 *
 * Seen from the output: position o of an axis gets tap k from input position i with o + pad = i * stride + k *
 * dilation. Hence taps fall into classes by (k * dilation) mod stride, the phase, and each output position uses the
 * taps of one phase only. */
#ifndef INGOT_CONV_TRANSPOSE_SHAPE_H
#define INGOT_CONV_TRANSPOSE_SHAPE_H

#include <stddef.h>

#include "conv_transpose.h"
#include "kernel.h"

typedef struct ingot_deconv_shape {
    int64_t batch;
    int64_t in[3], out[3];
    int64_t kernel[3], stride[3], dilation[3], pad[3];
    int64_t groups, group_in, group_out, in_channels, out_channels;
    int64_t in_pitch, out_pitch;
    int64_t taps;
} ingot_deconv_shape;

enum { INGOT_DECONV_X = 0, INGOT_DECONV_W = 1, INGOT_DECONV_BIAS = 2, INGOT_DECONV_RESIDUAL = 3 };

static inline void ingot_deconv_shape_read(const ingot_call *call, ingot_deconv_shape *s) {
    const ingot_conv_transpose_params *p = call->params;
    const ingot_arg *x = &call->in[INGOT_DECONV_X], *out = &call->out[0];
    const int missing = 5 - x->rank;
    s->batch = x->dims[0];
    s->in_channels = x->dims[x->rank - 1];
    s->out_channels = out->dims[out->rank - 1];
    s->in_pitch = x->pitch;
    s->out_pitch = out->pitch;
    s->groups = p->groups;
    s->group_in = s->groups > 0 ? s->in_channels / s->groups : 0;
    s->group_out = s->groups > 0 ? s->out_channels / s->groups : 0;
    for (int i = 0; i < 3; i++) {
        s->in[i] = i < missing ? 1 : x->dims[1 + i - missing];
        s->out[i] = i < missing ? 1 : out->dims[1 + i - missing];
        s->kernel[i] = p->kernel[i];
        s->stride[i] = p->strides[i];
        s->dilation[i] = p->dilations[i];
        s->pad[i] = p->pads_begin[i];
    }
    s->taps = 0;
}

/* `taps` is what the weight operand has; the product of the kernel extents must be it. Any extents of the output are
 * sound: positions that no input reaches are bias alone. */
static inline const char *ingot_deconv_types_check(const ingot_call *call, uint8_t dtype, uint8_t out_dtype,
                                                   uint8_t residual_dtype, uint8_t bias_dtype, int64_t taps) {
    const ingot_conv_transpose_params *p = call->params;
    const ingot_arg *x = &call->in[INGOT_DECONV_X], *bias = &call->in[INGOT_DECONV_BIAS];
    const ingot_arg *residual = &call->in[INGOT_DECONV_RESIDUAL], *out = &call->out[0];
    if (x->dtype != dtype || out->dtype != out_dtype) {
        return "conv_transpose: element type";
    }
    if (x->rank < 3 || x->rank > 5 || out->rank != x->rank || x->dims[0] != out->dims[0]) {
        return "conv_transpose: rank or batch";
    }
    if (bias->dtype != INGOT_DTYPE_NONE &&
        (bias->dtype != bias_dtype || bias->rank != 1 || bias->dims[0] != out->dims[out->rank - 1])) {
        return "conv_transpose: bias";
    }
    if (residual->dtype != INGOT_DTYPE_NONE) {
        if (residual->dtype != residual_dtype || residual->rank != out->rank) {
            return "conv_transpose: residual";
        }
        for (int i = 0; i < out->rank; i++) {
            if (residual->dims[i] != out->dims[i]) {
                return "conv_transpose: residual";
            }
        }
    }
    ingot_deconv_shape s;
    ingot_deconv_shape_read(call, &s);
    if (!ingot_activation_valid(&p->activation) || p->reserved != 0) {
        return "conv_transpose: activation";
    }
    if (p->groups < 1 || s.in_channels < 1 || s.out_channels < 1 || s.in_channels % p->groups != 0 ||
        s.out_channels % p->groups != 0) {
        return "conv_transpose: channels and groups";
    }
    int64_t left = taps;
    for (int i = 0; i < 3; i++) {
        if (p->kernel[i] < 1 || p->strides[i] < 1 || p->dilations[i] < 1 || p->pads_begin[i] < 0 ||
            left % p->kernel[i] != 0) {
            return "conv_transpose: kernel, strides, dilations or pads";
        }
        left /= p->kernel[i];
        if (s.in[i] > INT64_C(1) << 48 || s.out[i] > INT64_C(1) << 48) {
            return "conv_transpose: extent";
        }
    }
    return left != 1 ? "conv_transpose: kernel and weights" : NULL;
}

/* The same where all of them have one type. */
static inline const char *ingot_deconv_check(const ingot_call *call, uint8_t dtype, int64_t taps) {
    return ingot_deconv_types_check(call, dtype, dtype, dtype, dtype, taps);
}

#endif
