/* What depthwise_windows.cu asks of a convolution. */
#include "conv_shape.h"
#include "cuda_types.h"

static const char *windows_check(const ingot_call *call) {
    const ingot_conv_params *p = call->params;
    const ingot_arg *x = &call->in[INGOT_CONV_X], *w = &call->in[INGOT_CONV_W], *out = &call->out[0];
    const uint8_t residual = call->in[INGOT_CONV_RESIDUAL].dtype;
    if (!ingot_is_real(x->dtype) || !ingot_is_real(out->dtype) || !ingot_is_real(w->dtype) ||
        (residual != INGOT_DTYPE_NONE && !ingot_is_real(residual))) {
        return "conv: element type";
    }
    const char *reason = ingot_conv_types_check(call, x->dtype, out->dtype, residual, INGOT_F32);
    if (reason != NULL) {
        return reason;
    }
    ingot_conv_shape s;
    if (w->rank != 2 || w->pitch != w->dims[1]) {
        return "conv: weights";
    }
    reason = ingot_conv_shape_check(call, w->dims[0], &s);
    if (reason != NULL) {
        return reason;
    }
    if (s.groups != s.in_channels || s.groups != s.out_channels || w->dims[1] != s.groups) {
        return "conv: weights, or not a group for each channel";
    }
    const int square = x->rank == 4 && s.kernel[0] == 1 && s.kernel[1] == s.kernel[2] && s.stride[1] == s.stride[2];
    if (!square || p->dilations[1] != 1 || p->dilations[2] != 1 || x->count == 0) {
        return "conv: not a square window over an image";
    }
    return NULL;
}

const ingot_family ingot_family_conv_depthwise_windows_cuda = {
    .params_size = sizeof(ingot_conv_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = windows_check,
};
