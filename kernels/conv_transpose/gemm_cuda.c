/* What the matrix products of gemm.cu ask of a transposed convolution. */
#include "conv_transpose_s8.h"
#include "conv_transpose_shape.h"
#include "gemm_half.h"

enum { CHUNK_BYTES = 16, MOST_LINES = 31, SUMS = 4, SCALE = 5 /* operands behind the residual */ };

/* Product of the kernel's extents; 0 when it is more than the weights can have. */
static int64_t count_taps(const ingot_call *call) {
    const ingot_conv_transpose_params *p = call->params; /* those of int8 begin with the same */
    int64_t taps = 1;
    for (int i = 0; i < 3; i++) {
        if (p->kernel[i] < 1 || p->kernel[i] > MOST_LINES) {
            return 0;
        }
        taps *= p->kernel[i];
    }
    return taps;
}

/* Weights [O][taps][channels in whole chunks]. */
static const char *weights_check(const ingot_call *call, int64_t size) {
    const ingot_arg *w = &call->in[INGOT_DECONV_W];
    const int64_t vec = CHUNK_BYTES / size;
    ingot_deconv_shape s;
    ingot_deconv_shape_read(call, &s);
    if (s.groups != 1 || s.kernel[0] + s.kernel[1] + s.kernel[2] > MOST_LINES) {
        return "conv_transpose: groups, or too large a kernel";
    }
    const int64_t padded = (s.in_channels + vec - 1) / vec * vec;
    if (w->rank != 2 || w->count < 1 || w->pitch != w->dims[1] || w->dims[0] != s.out_channels ||
        w->dims[1] % padded != 0 || w->dims[1] / padded != count_taps(call)) {
        return "conv_transpose: weights";
    }
    return NULL;
}

static const char *real_check(const ingot_call *call) {
    const ingot_arg *x = &call->in[INGOT_DECONV_X], *w = &call->in[INGOT_DECONV_W], *out = &call->out[0];
    const char *reason = w->dtype == INGOT_F32 ? NULL : ingot_half_types_check(call);
    if (reason != NULL) {
        return reason;
    }
    const int half = w->dtype != INGOT_F32;
    reason =
        ingot_deconv_types_check(call, half ? x->dtype : INGOT_F32, half ? out->dtype : INGOT_F32,
                                 half ? call->in[INGOT_DECONV_RESIDUAL].dtype : INGOT_F32, INGOT_F32, count_taps(call));
    return reason != NULL ? reason : weights_check(call, half ? 2 : 4);
}

const ingot_family ingot_family_conv_transpose_gemm_cuda = {
    .params_size = sizeof(ingot_conv_transpose_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_DECONV_RESIDUAL,
    .check = real_check,
};

static const char *s8_check(const ingot_call *call) {
    const ingot_conv_transpose_s8_params *p = call->params;
    const ingot_arg *out = &call->out[0], *sums = &call->in[SUMS];
    const uint8_t bias = ingot_s8_bias_type(&call->in[INGOT_DECONV_BIAS]);
    const char *reason = ingot_deconv_types_check(call, INGOT_I8, out->dtype, INGOT_I8, bias, count_taps(call));
    if (reason != NULL) {
        return reason;
    }
    if (call->in[INGOT_DECONV_W].dtype != INGOT_I8 || (out->dtype != INGOT_I8 && out->dtype != INGOT_F32)) {
        return "conv_transpose: element type";
    }
    ingot_deconv_shape s;
    ingot_deconv_shape_read(call, &s);
    if (sums->dtype != INGOT_I32 || sums->rank != 2 || sums->pitch != s.out_channels ||
        sums->dims[1] != s.out_channels || sums->dims[0] % s.stride[0] != 0 ||
        sums->dims[0] / s.stride[0] % s.stride[1] != 0 || sums->dims[0] / s.stride[0] / s.stride[1] != s.stride[2] ||
        !ingot_s8_vector_valid(&call->in[SCALE], INGOT_F32, s.out_channels)) {
        return "conv_transpose: sums or scale";
    }
    if (!ingot_s8_numbers_valid(&p->numbers, &p->conv.activation)) {
        return "conv_transpose: quantisation";
    }
    return weights_check(call, 1);
}

const ingot_family ingot_family_conv_transpose_gemm_s8_cuda = {
    .params_size = sizeof(ingot_conv_transpose_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 6,
    .in_max = 6,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_DECONV_RESIDUAL,
    .check = s8_check,
};
