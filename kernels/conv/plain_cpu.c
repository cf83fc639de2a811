/* conv_plain: float64, and weights that come at run time in ONNX's order [O][C / groups][taps]. */
#include "conv_shape.h"

static const char *plain_check(const ingot_call *call) {
    const ingot_arg *x = &call->in[INGOT_CONV_X], *w = &call->in[INGOT_CONV_W];
    const ingot_conv_params *p = call->params;
    ingot_conv_shape s;
    if (x->dtype != INGOT_F32 && x->dtype != INGOT_F64) {
        return "conv: element type";
    }
    const char *reason = ingot_conv_operands_check(call, x->dtype, x->dtype);
    if (reason != NULL) {
        return reason;
    }
    if (w->dtype != x->dtype || w->rank != x->rank || w->count < 1) {
        return "conv: weights";
    }
    int64_t taps = 1;
    for (int i = 2; i < w->rank; i++) {
        if (w->dims[i] != p->kernel[i + 3 - w->rank]) {
            return "conv: kernel and weights";
        }
        taps *= w->dims[i];
    }
    reason = ingot_conv_shape_check(call, taps, &s);
    if (reason != NULL) {
        return reason;
    }
    if (w->dims[0] != s.out_channels || w->dims[1] != s.group_in) {
        return "conv: weights";
    }
    if (x->dtype != INGOT_F32 && p->activation.kind != INGOT_ACT_NONE) {
        return "conv: activation of a plain convolution";
    }
    return call->out[0].count > UINT32_MAX ? "conv: too many work units" : NULL;
}

static uint32_t plain_units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    return (uint32_t)(out->count / out->dims[out->rank - 1]);
}

/* One output pixel: its window's taps inside the image, first to last on each axis. */
typedef struct plain_pixel {
    const void *x, *w, *bias, *residual;
    void *out;
    int64_t origin[3], first[3], last[3];
} plain_pixel;

#define PIXEL_FUNCTION(name, type)                                                                                     \
    static void name(const ingot_conv_shape *s, const plain_pixel *p) {                                                \
        const type *bias = p->bias, *residual = p->residual;                                                           \
        type *out = p->out;                                                                                            \
        for (int64_t o = 0; o < s->out_channels; o++) {                                                                \
            const type *w = (const type *)p->w + o * s->group_in * s->taps;                                            \
            const type *x = (const type *)p->x + o / s->group_out * s->group_in;                                       \
            type sum = bias != NULL ? bias[o] : 0;                                                                     \
            for (int64_t kz = p->first[0]; kz < p->last[0]; kz++) {                                                    \
                for (int64_t ky = p->first[1]; ky < p->last[1]; ky++) {                                                \
                    for (int64_t kx = p->first[2]; kx < p->last[2]; kx++) {                                            \
                        const int64_t z = p->origin[0] + kz * s->dilation[0];                                          \
                        const int64_t y = p->origin[1] + ky * s->dilation[1];                                          \
                        const type *from =                                                                             \
                            x + ((z * s->in[1] + y) * s->in[2] + p->origin[2] + kx * s->dilation[2]) * s->in_channels; \
                        const type *weight = w + (kz * s->kernel[1] + ky) * s->kernel[2] + kx;                         \
                        for (int64_t c = 0; c < s->group_in; c++) {                                                    \
                            sum += from[c] * weight[c * s->taps];                                                      \
                        }                                                                                              \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
            out[o] = sum + (residual != NULL ? residual[o] : 0);                                                       \
        }                                                                                                              \
    }

PIXEL_FUNCTION(pixel_f32, float)
PIXEL_FUNCTION(pixel_f64, double)

INGOT_KERNEL_FN(conv_plain) {
    const ingot_conv_params *params = call->params;
    const ingot_arg *x = &call->in[INGOT_CONV_X], *residual = &call->in[INGOT_CONV_RESIDUAL], *out = &call->out[0];
    const int64_t size = x->dtype == INGOT_F32 ? 4 : 8;
    ingot_conv_shape s;
    (void)scratch;
    ingot_conv_shape_read(call, &s);
    s.taps = s.kernel[0] * s.kernel[1] * s.kernel[2];
    const int64_t image = s.in[0] * s.in[1] * s.in[2] * s.in_channels * size, pixel_size = s.out_channels * size;
    for (uint32_t unit = begin; unit < end; unit++) {
        plain_pixel p = {.w = call->in[INGOT_CONV_W].data, .bias = call->in[INGOT_CONV_BIAS].data};
        int64_t index = unit;
        for (int i = 2; i >= 0; i--) {
            p.origin[i] = index % s.out[i] * s.stride[i] - s.pad[i];
            index /= s.out[i];
            p.first[i] = p.origin[i] >= 0 ? 0 : (s.dilation[i] - 1 - p.origin[i]) / s.dilation[i];
            p.last[i] = p.origin[i] >= s.in[i] ? 0 : (s.in[i] - 1 - p.origin[i]) / s.dilation[i] + 1;
            p.last[i] = p.last[i] < s.kernel[i] ? p.last[i] : s.kernel[i];
        }
        p.x = (const char *)x->data + index * image;
        p.out = (char *)out->data + unit * pixel_size;
        p.residual = residual->data != NULL ? (const char *)residual->data + unit * pixel_size : NULL;
        if (size == 4) {
            pixel_f32(&s, &p);
            ingot_activate_f32(&params->activation, p.out, s.out_channels);
        } else {
            pixel_f64(&s, &p);
        }
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_conv_plain = {
    .params_size = sizeof(ingot_conv_params),
    .flags = 0,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = plain_check,
    .units = plain_units,
};
