/* The extents of a convolution, brought to three spatial axes and proven to fit together. */
#ifndef INGOT_CONV_SHAPE_H
#define INGOT_CONV_SHAPE_H

#include <stddef.h>

#include "conv.h"
#include "kernel.h"

typedef struct ingot_conv_shape {
    int64_t batch;
    int64_t in[3], out[3];
    int64_t kernel[3], stride[3], dilation[3], pad[3]; /* pad: before the image */
    int64_t groups, group_in, group_out;               /* channels of one group */
    int64_t in_channels, out_channels;
    int64_t in_pitch, out_pitch;
    int64_t taps; /* product of kernel */
} ingot_conv_shape;

enum { INGOT_CONV_X = 0, INGOT_CONV_W = 1, INGOT_CONV_BIAS = 2, INGOT_CONV_RESIDUAL = 3 };

/* Product of the kernel's extents, 0 when it is more than `most`. */
static inline int64_t ingot_conv_count_taps(const ingot_conv_params *p, int64_t most) {
    int64_t taps = 1;
    for (int i = 0; i < 3; i++) {
        if (p->kernel[i] < 1 || taps > most / p->kernel[i]) {
            return 0;
        }
        taps *= p->kernel[i];
    }
    return taps;
}

/* Operands of every convolution: x, weights, bias [O] or none, residual like the output or none. */
static inline const char *ingot_conv_types_check(const ingot_call *call, uint8_t dtype, uint8_t out_dtype,
                                                 uint8_t residual_dtype, uint8_t bias_dtype) {
    const ingot_arg *x = &call->in[INGOT_CONV_X], *bias = &call->in[INGOT_CONV_BIAS];
    const ingot_arg *residual = &call->in[INGOT_CONV_RESIDUAL], *out = &call->out[0];
    if (x->dtype != dtype || out->dtype != out_dtype) {
        return "conv: element type";
    }
    if (x->rank < 3 || x->rank > 5 || out->rank != x->rank || x->dims[0] != out->dims[0]) {
        return "conv: rank or batch";
    }
    if (bias->dtype != INGOT_DTYPE_NONE &&
        (bias->dtype != bias_dtype || bias->rank != 1 || bias->dims[0] != out->dims[out->rank - 1])) {
        return "conv: bias";
    }
    if (residual->dtype != INGOT_DTYPE_NONE) {
        if (residual->dtype != residual_dtype || residual->rank != out->rank) {
            return "conv: residual";
        }
        for (int i = 0; i < out->rank; i++) {
            if (residual->dims[i] != out->dims[i]) {
                return "conv: residual";
            }
        }
    }
    return NULL;
}

/* The same where all of them have one type. */
static inline const char *ingot_conv_operands_check(const ingot_call *call, uint8_t dtype, uint8_t bias_dtype) {
    return ingot_conv_types_check(call, dtype, dtype, dtype, bias_dtype);
}

/* Reads the extents of x, out and the parameters; the caller has checked the ranks. */
static inline void ingot_conv_shape_read(const ingot_call *call, ingot_conv_shape *s) {
    const ingot_conv_params *p = call->params;
    const ingot_arg *x = &call->in[INGOT_CONV_X], *out = &call->out[0];
    const int missing = 5 - x->rank;
    s->batch = x->dims[0];
    s->in_channels = x->dims[x->rank - 1];
    s->out_channels = out->dims[out->rank - 1];
    s->in_pitch = x->pitch;
    s->out_pitch = out->pitch;
    s->groups = p->groups;
    s->taps = 1;
    for (int i = 0; i < 3; i++) {
        s->in[i] = i < missing ? 1 : x->dims[1 + i - missing];
        s->out[i] = i < missing ? 1 : out->dims[1 + i - missing];
        s->kernel[i] = p->kernel[i];
        s->stride[i] = p->strides[i];
        s->dilation[i] = p->dilations[i];
        s->pad[i] = p->pads_begin[i];
    }
    s->group_in = s->groups > 0 ? s->in_channels / s->groups : 0;
    s->group_out = s->groups > 0 ? s->out_channels / s->groups : 0;
}

/* `taps` is what the weight operand has; the product of the kernel extents must be it. With a dilation of 0 all taps of
 * an axis read the same element. */
static inline const char *ingot_conv_shape_check_from(const ingot_call *call, int64_t taps, int32_t least_dilation,
                                                      ingot_conv_shape *s) {
    const ingot_conv_params *p = call->params;
    ingot_conv_shape_read(call, s);
    if (!ingot_activation_valid(&p->activation)) {
        return "conv: activation";
    }
    if (p->groups < 1 || s->in_channels < 1 || s->out_channels < 1 || s->in_channels % p->groups != 0 ||
        s->out_channels % p->groups != 0) {
        return "conv: channels and groups";
    }
    int64_t left = taps;
    for (int i = 0; i < 3; i++) {
        if (p->kernel[i] < 1 || p->strides[i] < 1 || p->dilations[i] < least_dilation || p->pads_begin[i] < 0 ||
            p->pads_end[i] < 0) {
            return "conv: kernel, strides, dilations or pads";
        }
        if (left % p->kernel[i] != 0) {
            return "conv: kernel and weights";
        }
        left /= p->kernel[i];
        if (s->in[i] > INT64_C(1) << 48) {
            return "conv: extent";
        }
        int64_t room = s->in[i] + p->pads_begin[i] + p->pads_end[i] - s->dilation[i] * (s->kernel[i] - 1) - 1;
        int64_t expected = room < 0 ? 0 : room / s->stride[i] + 1;
        if (s->out[i] != expected) {
            return "conv: output extent";
        }
    }
    if (left != 1) {
        return "conv: kernel and weights";
    }
    s->taps = taps;
    return NULL;
}

/* The same where taps read elements of their own. */
static inline const char *ingot_conv_shape_check(const ingot_call *call, int64_t taps, ingot_conv_shape *s) {
    return ingot_conv_shape_check_from(call, taps, 1, s);
}

#endif
