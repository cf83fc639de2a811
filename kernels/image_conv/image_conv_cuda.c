/* What image_conv.cu asks of a convolution. */
#include "gemm_half.h"
#include "gemm_s8.h"
#include "image_conv/image_conv.h"
#include "kernel.h"

enum { X, WEIGHTS, BIAS, SUMS, SCALE, STEP_BYTES = 1024 };

/* The extents, the bias, and weights [O / 32][steps][1024 bytes]. */
static const char *shape_check(const ingot_call *call, int64_t size, uint8_t bias_type) {
    const ingot_image_conv_params *params = call->params;
    const ingot_conv_params *p = &params->conv;
    const ingot_arg *x = &call->in[X], *w = &call->in[WEIGHTS], *bias = &call->in[BIAS], *out = &call->out[0];
    if (x->rank != 4 || out->rank != 4 || w->rank != 3 || x->dims[0] != out->dims[0]) {
        return "image_conv: rank or batch";
    }
    if (x->dims[1] < 1 || x->dims[1] > INGOT_IMAGE_CHANNELS || out->dims[3] < 1) {
        return "image_conv: channels";
    }
    if (!ingot_activation_valid(&p->activation) || params->reserved != 0) {
        return "image_conv: activation";
    }
    if (!ingot_image_conv_plain(p)) {
        return "image_conv: not two spatial axes without groups and dilation";
    }
    for (int i = 1; i < 3; i++) {
        if (p->kernel[i] < 1 || p->kernel[i] > INGOT_IMAGE_MOST_TAPS || p->strides[i] < 1 || p->pads_begin[i] < 0 ||
            p->pads_end[i] < 0) {
            return "image_conv: kernel, strides or pads";
        }
        const int64_t room = x->dims[1 + i] + p->pads_begin[i] + p->pads_end[i] - p->kernel[i];
        if (out->dims[i] != (room < 0 ? 0 : room / p->strides[i] + 1)) {
            return "image_conv: output extent";
        }
    }
    const int64_t quads = (p->kernel[2] + INGOT_IMAGE_TAPS - 1) / INGOT_IMAGE_TAPS * p->kernel[1];
    const int64_t steps = size == 1 ? (quads + 1) / 2 : quads;
    const int64_t groups = (out->dims[3] + INGOT_IMAGE_COLUMNS - 1) / INGOT_IMAGE_COLUMNS;
    if (w->dims[0] != groups || w->dims[1] != steps || w->dims[2] * size != STEP_BYTES || w->pitch != w->dims[2]) {
        return "image_conv: weights";
    }
    if (bias->dtype != INGOT_DTYPE_NONE &&
        (bias->dtype != bias_type || bias->rank != 1 || bias->dims[0] != out->dims[3])) {
        return "image_conv: bias";
    }
    return NULL;
}

static const char *real_check(const ingot_call *call) {
    const uint8_t x = call->in[X].dtype, w = call->in[WEIGHTS].dtype, out = call->out[0].dtype;
    if (!ingot_is_half(w) || (x != w && x != INGOT_F32) || (out != w && out != INGOT_F32)) {
        return "image_conv: element type";
    }
    return shape_check(call, 2, INGOT_F32);
}

const ingot_family ingot_family_image_conv_cuda = {
    .params_size = sizeof(ingot_image_conv_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 3,
    .in_max = 3,
    .out_min = 1,
    .out_max = 1,
    .check = real_check,
};

static const char *s8_check(const ingot_call *call) {
    const ingot_image_conv_params *p = call->params;
    const uint8_t x = call->in[X].dtype, out = call->out[0].dtype;
    if (call->in[WEIGHTS].dtype != INGOT_I8 || (x != INGOT_I8 && x != INGOT_F32) ||
        (out != INGOT_I8 && out != INGOT_F32)) {
        return "image_conv: element type";
    }
    const int64_t channels = call->out[0].rank == 4 ? call->out[0].dims[3] : 0;
    if (!ingot_s8_vector_valid(&call->in[SUMS], INGOT_I32, channels) ||
        !ingot_s8_vector_valid(&call->in[SCALE], INGOT_F32, channels)) {
        return "image_conv: sums or scale";
    }
    if (!ingot_s8_numbers_valid(&p->numbers, &p->conv.activation) ||
        (x == INGOT_F32 && !(p->scale > 0.0f && p->scale < __builtin_inff()))) {
        return "image_conv: quantisation";
    }
    return shape_check(call, 1, ingot_s8_bias_type(&call->in[BIAS]));
}

const ingot_family ingot_family_image_conv_s8_cuda = {
    .params_size = sizeof(ingot_image_conv_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 5,
    .in_max = 5,
    .out_min = 1,
    .out_max = 1,
    .check = s8_check,
};
