/* The body of conv_f32_dw for one instruction set; DW_PIXELS is how many output pixels stay in registers. With
 * DW_MASKS, where masks cost nothing, whole blocks of channels are done as others are, which halves the code. */
#include "depthwise.h"
#include "gemm_f32.h"
#include "vec16.h"

/* The part of a window that lies inside the image, and where its pixels are. */
typedef struct dw_window {
    const float *x;              /* pixel of the first tap inside */
    const float *weights;        /* of that tap */
    int64_t planes, lines, taps; /* kernel extents inside the image */
} dw_window;

/* Whether hard swish is done in registers. */
INGOT_INLINE int dw_swishes(const ingot_gemm_f32 *t) {
#ifdef DW_MASKS
    return t->activation != NULL && t->activation->kind == INGOT_ACT_HARD_SWISH;
#else
    return 0;
#endif
}

/* A block of `pixels` neighbours in the row by up to 16 channels; `pixels`, `whole` and, unless 0, `taps` are constants
 * where this is inlined. */
INGOT_INLINE void dw_block(const ingot_conv_shape *s, const ingot_gemm_f32 *t, const dw_window *v, const float *x,
                           const float *weights, int64_t channel, int64_t count, const int pixels, const int taps,
                           const int whole) {
    const int64_t width = taps != 0 ? taps : v->taps;
    const int64_t line = s->dilation[1] * s->in[2] * s->in_pitch;
    const int64_t plane = s->dilation[0] * s->in[1] * s->in[2] * s->in_pitch;
    const int64_t tap = s->dilation[2] * s->in_pitch, step = s->stride[2] * s->in_pitch;
    v16 sum[DW_PIXELS];
    v16 bias = v16_zero();
    if (t->bias != NULL) {
        bias = whole ? v16_load(t->bias + channel) : v16_load_n(t->bias + channel, count);
    }
#pragma GCC unroll 8
    for (int i = 0; i < pixels; i++) {
        sum[i] = bias;
    }
    for (int64_t kz = 0; kz < v->planes; kz++) {
        for (int64_t ky = 0; ky < v->lines; ky++) {
            const float *from = x + kz * plane + ky * line;
            const float *w = weights + (kz * s->kernel[1] + ky) * s->kernel[2] * INGOT_DW_LANES;
#pragma GCC unroll 3
            for (int64_t kx = 0; kx < width; kx++, from += tap, w += INGOT_DW_LANES) {
                v16 weight = v16_load(w);
#pragma GCC unroll 8
                for (int i = 0; i < pixels; i++) {
                    v16 value = whole ? v16_load(from + i * step) : v16_load_n(from + i * step, count);
                    sum[i] = v16_fma(value, weight, sum[i]);
                }
            }
        }
    }
    v16 lo = v16_set1(t->lo), hi = v16_set1(t->hi);
    if (t->residual != NULL) {
#pragma GCC unroll 8
        for (int i = 0; i < pixels; i++) {
            const float *r = t->residual[i] + channel;
            sum[i] = v16_add(sum[i], whole ? v16_load(r) : v16_load_n(r, count));
        }
    }
    if (dw_swishes(t)) {
#pragma GCC unroll 8
        for (int i = 0; i < pixels; i++) {
            sum[i] = v16_hard_swish(sum[i]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < pixels; i++) {
        const v16 y = v16_min(hi, v16_max(lo, sum[i]));
        if (whole) {
            v16_store(t->out[i] + channel, y);
        } else {
            v16_store_n(t->out[i] + channel, y, count);
        }
    }
}

INGOT_INLINE void dw_channels(const ingot_conv_shape *s, const ingot_gemm_f32 *t, const dw_window *v, const int pixels,
                              const int taps) {
    const float *weights = v->weights;
    int64_t c = 0;
#ifndef DW_MASKS
    for (; c + INGOT_DW_LANES <= s->in_channels; c += INGOT_DW_LANES, weights += s->taps * INGOT_DW_LANES) {
        dw_block(s, t, v, v->x + c, weights, c, INGOT_DW_LANES, pixels, taps, 1);
    }
    if (c < s->in_channels) {
        dw_block(s, t, v, v->x + c, weights, c, s->in_channels - c, pixels, 0, 0);
    }
#else
    for (; c < s->in_channels; c += INGOT_DW_LANES, weights += s->taps * INGOT_DW_LANES) {
        const int64_t left = s->in_channels - c;
        dw_block(s, t, v, v->x + c, weights, c, left < INGOT_DW_LANES ? left : INGOT_DW_LANES, pixels, taps, 0);
    }
#endif
}

typedef void (*dw_pixels_fn)(const ingot_conv_shape *s, const ingot_gemm_f32 *t, const dw_window *v);

#define DW_PIXELS_FUNCTION(pixels)                                                                                     \
    static void dw_pixels_##pixels(const ingot_conv_shape *s, const ingot_gemm_f32 *t, const dw_window *v) {           \
        if (v->taps == 3) {                                                                                            \
            dw_channels(s, t, v, pixels, 3);                                                                           \
        } else {                                                                                                       \
            dw_channels(s, t, v, pixels, 0);                                                                           \
        }                                                                                                              \
    }

DW_PIXELS_FUNCTION(1)
DW_PIXELS_FUNCTION(2)
#if DW_PIXELS >= 4
DW_PIXELS_FUNCTION(4)
#else
#define dw_pixels_4 NULL
#endif
#if DW_PIXELS >= 8
DW_PIXELS_FUNCTION(8)
#else
#define dw_pixels_8 NULL
#endif

/* By the logarithm of how many pixels. */
static const dw_pixels_fn dw_pixels[] = {dw_pixels_1, dw_pixels_2, dw_pixels_4, dw_pixels_8};

/* The largest block, as logarithm, that fits `count` pixels. */
INGOT_INLINE int dw_block_log(int64_t count) {
    return DW_PIXELS >= 8 && count >= 8 ? 3 : DW_PIXELS >= 4 && count >= 4 ? 2 : count >= 2 ? 1 : 0;
}

/* Taps of one axis that lie inside: the window begins at `origin`. Gives the first one and how many. */
INGOT_INLINE int64_t dw_clip(int64_t origin, int64_t dilation, int64_t kernel, int64_t extent, int64_t *first) {
    int64_t begin = origin >= 0 ? 0 : (-origin + dilation - 1) / dilation;
    int64_t end = origin >= extent ? 0 : (extent - 1 - origin) / dilation + 1;
    end = end < kernel ? end : kernel;
    *first = begin < end ? begin : 0;
    return begin < end ? end - begin : 0;
}

/* An activation that was not done in registers: in one go where pixels lie side by side. */
static void dw_activate(const ingot_activation *activation, const ingot_dw_row *row) {
    const int64_t pixels = row->end - row->begin, channels = row->shape->in_channels;
    const int joined = row->shape->out_pitch == channels;
    for (int64_t i = 0; i < (joined ? 1 : pixels); i++) {
        ingot_activate_f32(activation, row->out + i * row->shape->out_pitch, joined ? pixels * channels : channels);
    }
}

/* Output columns [begin, end) of a row. */
void INGOT_PASTE(ingot_, dw_row, INGOT_ISA)(const ingot_dw_row *row);
void INGOT_PASTE(ingot_, dw_row, INGOT_ISA)(const ingot_dw_row *row) {
    const ingot_conv_shape *s = row->shape;
    float *out_rows[DW_PIXELS];
    const float *residual_rows[DW_PIXELS];
    ingot_gemm_f32 tile = {.out = out_rows, .bias = row->bias};
    tile.residual = row->residual != NULL ? residual_rows : NULL;
    ingot_gemm_f32_activation(&tile, row->activation);
    int64_t kz, ky, kx;
    dw_window v;
    v.planes = dw_clip(row->z0, s->dilation[0], s->kernel[0], s->in[0], &kz);
    v.lines = dw_clip(row->y0, s->dilation[1], s->kernel[1], s->in[1], &ky);
    for (int64_t x = row->begin; x < row->end;) {
        const int inner = x >= row->inner_begin && x < row->inner_end;
        const int log = inner ? dw_block_log((row->end < row->inner_end ? row->end : row->inner_end) - x) : 0;
        const int pixels = 1 << log;
        const int64_t x0 = x * s->stride[2] - s->pad[2];
        kx = 0;
        v.taps = inner ? s->kernel[2] : dw_clip(x0, s->dilation[2], s->kernel[2], s->in[2], &kx);
        v.weights = row->weights + ((kz * s->kernel[1] + ky) * s->kernel[2] + kx) * INGOT_DW_LANES;
        v.x = row->image;
        if (v.planes > 0 && v.lines > 0 && v.taps > 0) {
            const int64_t iz = row->z0 + kz * s->dilation[0], iy = row->y0 + ky * s->dilation[1];
            v.x += ((iz * s->in[1] + iy) * s->in[2] + x0 + kx * s->dilation[2]) * s->in_pitch;
        }
        for (int i = 0; i < pixels; i++) {
            out_rows[i] = row->out + (x + i - row->begin) * s->out_pitch;
            if (row->residual != NULL) {
                residual_rows[i] = row->residual + (x + i - row->begin) * row->residual_pitch;
            }
        }
        dw_pixels[log](s, &tile, &v);
        x += pixels;
    }
    if (tile.activation != NULL && !dw_swishes(&tile)) {
        dw_activate(tile.activation, row);
    }
}

INGOT_KERNEL_FN(conv_f32_dw) {
    const ingot_dw_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_conv_params *params = call->params;
    const ingot_arg *residual = &call->in[INGOT_CONV_RESIDUAL];
    (void)scratch;
    ingot_dw_row row = {
        .shape = s,
        .weights = call->in[INGOT_CONV_W].data,
        .bias = call->in[INGOT_CONV_BIAS].data,
        .residual_pitch = residual->pitch,
        .activation = &params->activation,
        .inner_begin = plan->inner_begin,
        .inner_end = plan->inner_end,
    };
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t line = unit / plan->chunks;
        const int64_t z = line / s->out[1] % s->out[0], y = line % s->out[1], batch = line / s->out[1] / s->out[0];
        row.image = (const float *)call->in[INGOT_CONV_X].data + batch * s->in[0] * s->in[1] * s->in[2] * s->in_pitch;
        row.z0 = z * s->stride[0] - s->pad[0];
        row.y0 = y * s->stride[1] - s->pad[1];
        row.begin = unit % plan->chunks * INGOT_DW_CHUNK;
        row.end = row.begin + INGOT_DW_CHUNK < s->out[2] ? row.begin + INGOT_DW_CHUNK : s->out[2];
        const int64_t pixel = line * s->out[2] + row.begin;
        row.out = (float *)call->out[0].data + pixel * s->out_pitch;
        if (residual->data != NULL) {
            row.residual = (const float *)residual->data + pixel * residual->pitch;
        }
        INGOT_PASTE(ingot_, dw_row, INGOT_ISA)(&row);
    }
    return INGOT_KERNEL_OK;
}

#define DW_HALF_KERNEL(type)                                                                                           \
    INGOT_KERNEL_FN(conv_##type##_dw) {                                                                                \
        return ingot_conv_half_dw_run(call, begin, end, scratch, &INGOT_PASTE(ingot_, half, INGOT_ISA),                \
                                      INGOT_PASTE(ingot_, dw_row, INGOT_ISA), NULL);                                   \
    }
DW_HALF_KERNEL(f16)
DW_HALF_KERNEL(bf16)
