/* conv_transpose_plain: float64, and weights that come at run time in ONNX's order [C][O / groups][taps]. */
#include "conv_transpose_shape.h"

static const char *plain_check(const ingot_call *call) {
    const ingot_arg *x = &call->in[INGOT_DECONV_X], *w = &call->in[INGOT_DECONV_W];
    const ingot_conv_transpose_params *p = call->params;
    if (x->dtype != INGOT_F32 && x->dtype != INGOT_F64) {
        return "conv_transpose: element type";
    }
    if (w->dtype != x->dtype || w->rank != x->rank || w->rank < 3 || w->rank > 5 || w->count < 1) {
        return "conv_transpose: weights";
    }
    int64_t taps = 1;
    for (int i = 2; i < w->rank; i++) {
        if (w->dims[i] != p->kernel[i + 3 - w->rank]) {
            return "conv_transpose: kernel and weights";
        }
        taps *= w->dims[i];
    }
    const char *reason = ingot_deconv_check(call, x->dtype, taps);
    if (reason != NULL) {
        return reason;
    }
    ingot_deconv_shape s;
    ingot_deconv_shape_read(call, &s);
    if (w->dims[0] != s.in_channels || w->dims[1] != s.group_out) {
        return "conv_transpose: weights";
    }
    if (x->dtype != INGOT_F32 && p->activation.kind != INGOT_ACT_NONE) {
        return "conv_transpose: activation of a plain transposed convolution";
    }
    return call->out[0].count > UINT32_MAX ? "conv_transpose: too many work units" : NULL;
}

static uint32_t plain_units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    return (uint32_t)(out->count / out->dims[out->rank - 1]);
}

typedef struct plain_pixel {
    const void *x, *w, *bias, *residual;
    void *out;
    int64_t origin[3]; /* output position + pad */
} plain_pixel;

/* The input position that tap k of an axis reads; -1 when there is none. */
static int64_t source(const ingot_deconv_shape *s, const plain_pixel *p, int axis, int64_t k) {
    const int64_t at = p->origin[axis] - k * s->dilation[axis];
    return at >= 0 && at % s->stride[axis] == 0 && at / s->stride[axis] < s->in[axis] ? at / s->stride[axis] : -1;
}

#define PIXEL_FUNCTION(name, type)                                                                                     \
    static void name(const ingot_deconv_shape *s, const plain_pixel *p) {                                              \
        const type *bias = p->bias, *residual = p->residual, *w = p->w;                                                \
        type *out = p->out;                                                                                            \
        for (int64_t o = 0; o < s->out_channels; o++) {                                                                \
            out[o] = (bias != NULL ? bias[o] : 0) + (residual != NULL ? residual[o] : 0);                              \
        }                                                                                                              \
        for (int64_t tap = 0; tap < s->taps; tap++) {                                                                  \
            const int64_t z = source(s, p, 0, tap / (s->kernel[1] * s->kernel[2]));                                    \
            const int64_t y = source(s, p, 1, tap / s->kernel[2] % s->kernel[1]);                                      \
            const int64_t x = source(s, p, 2, tap % s->kernel[2]);                                                     \
            if (z < 0 || y < 0 || x < 0) {                                                                             \
                continue;                                                                                              \
            }                                                                                                          \
            const type *from = (const type *)p->x + ((z * s->in[1] + y) * s->in[2] + x) * s->in_channels;              \
            for (int64_t c = 0; c < s->in_channels; c++) {                                                             \
                const int64_t first = c / s->group_in * s->group_out;                                                  \
                for (int64_t o = 0; o < s->group_out; o++) {                                                           \
                    out[first + o] += from[c] * w[(c * s->group_out + o) * s->taps + tap];                             \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

PIXEL_FUNCTION(pixel_f32, float)
PIXEL_FUNCTION(pixel_f64, double)

INGOT_KERNEL_FN(conv_transpose_plain) {
    const ingot_conv_transpose_params *params = call->params;
    const ingot_arg *x = &call->in[INGOT_DECONV_X], *residual = &call->in[INGOT_DECONV_RESIDUAL];
    const ingot_arg *out = &call->out[0];
    const int64_t size = x->dtype == INGOT_F32 ? 4 : 8;
    ingot_deconv_shape s;
    (void)scratch;
    ingot_deconv_shape_read(call, &s);
    s.taps = s.kernel[0] * s.kernel[1] * s.kernel[2];
    const int64_t image = s.in[0] * s.in[1] * s.in[2] * s.in_channels * size, pixel_size = s.out_channels * size;
    for (uint32_t unit = begin; unit < end; unit++) {
        plain_pixel p = {.w = call->in[INGOT_DECONV_W].data, .bias = call->in[INGOT_DECONV_BIAS].data};
        int64_t index = unit;
        for (int i = 2; i >= 0; i--) {
            p.origin[i] = index % s.out[i] + s.pad[i];
            index /= s.out[i];
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

const ingot_family ingot_family_conv_transpose_plain = {
    .params_size = sizeof(ingot_conv_transpose_params),
    .flags = 0,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_DECONV_RESIDUAL,
    .check = plain_check,
    .units = plain_units,
};
