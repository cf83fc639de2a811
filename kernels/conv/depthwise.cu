/* Depthwise convolution with any window: a thread has four channels of a few neighbouring pixels of a row. Threads of a
 * block follow each other down the image, so that lines that windows have in common come from the first-level cache. */
#include "conv/cuda_depthwise_s8.h"
#include "conv/cuda_shape.h"
#include "cuda_products.h"

namespace ingot {

enum { DW_X, DW_W, DW_BIAS, DW_RESIDUAL };

DEVICE int32_t at_most_four(int32_t count) { return count < 4 ? count : 4; }

template <class T> DEVICE four<float> real_four(const four<T> &x) {
    return {to_float(x.at[0]), to_float(x.at[1]), to_float(x.at[2]), to_float(x.at[3])};
}

/* Line y of plane z of an image, at a channel; null outside the image. */
template <class X>
DEVICE const X *dw_line(const conv_shape &s, const ingot_cuda_arg &x, const conv_place &at, int32_t z, int32_t y) {
    if (z < 0 || z >= s.in[0] || y < 0 || y >= s.in[1]) return nullptr;
    return static_cast<const X *>(x.data) + s.in_line(at.n, z, y) * x.pitch + at.channel * 4;
}

/* x in X, y in Y, weights float [C / 16][taps][16]; the residual is float32 or half. */
template <class X, class Y, int PIXELS, int KIND> struct conv_depthwise {
    static constexpr int threads = 128, blocks = 4;
    using call = ingot::call<5, ingot_conv_params>;

    static DEVICE four<float> weights_at(const float *w) {
        return load_constant(reinterpret_cast<const four<float> *>(w));
    }

    static DEVICE void add(float (&sum)[4], const four<float> &x, const four<float> &w) {
#pragma unroll
        for (int j = 0; j < 4; j++) sum[j] += x.at[j] * w.at[j];
    }

    template <bool WIDE>
    static DEVICE void add_taps(float (&sum)[PIXELS][4], const ingot_cuda_arg &x, const conv_shape &s,
                                const ingot_conv_params &p, const conv_place &at, const float *w, int32_t count) {
        for (int32_t kz = 0; kz < p.kernel[0]; kz++) {
            for (int32_t ky = 0; ky < p.kernel[1]; ky++, w += p.kernel[2] * 16) {
                const X *line = dw_line<X>(s, x, at, at.z * p.strides[0] - p.pads_begin[0] + kz * p.dilations[0],
                                           at.y * p.strides[1] - p.pads_begin[1] + ky * p.dilations[1]);
                if (line == nullptr) continue;
                for (int32_t k = 0; k < p.kernel[2]; k++) {
                    const four<float> weights = weights_at(w + k * 16);
#pragma unroll
                    for (int pixel = 0; pixel < PIXELS; pixel++) {
                        const int32_t column = (at.x + pixel) * p.strides[2] - p.pads_begin[2] + k * p.dilations[2];
                        const X *const place = column >= 0 && column < s.in[2] ? line + column * x.pitch : nullptr;
                        add(sum[pixel], real_four(load_pixel<WIDE>(place, 0, count)), weights);
                    }
                }
            }
        }
    }

    template <bool WIDE> static DEVICE void work(const call &c, const conv_shape &s) {
        const ingot_cuda_arg &x = c.arg[DW_X], &residual = c.arg[DW_RESIDUAL], &bias = c.arg[DW_BIAS], &y = c.arg[4];
        const ingot_conv_params &p = c.params;
        const conv_place at(s, blockIdx.x * threads + threadIdx.x, (s.in_channels + 3) / 4, PIXELS, true);
        if (!at.there) return;
        const int32_t channel = at.channel * 4, count = at_most_four(s.in_channels - channel);
        const int64_t taps = (int64_t)p.kernel[0] * p.kernel[1] * p.kernel[2];
        const float *w = static_cast<const float *>(c.arg[DW_W].data) + channel / 16 * taps * 16 + channel % 16;
        float sum[PIXELS][4] = {};
        add_taps<WIDE>(sum, x, s, p, at, w, count);
        const activation<KIND> act(p.activation);
        const bool stores = in_fours<Y>(y);
        four<float> start = {};
        if (bias.data != nullptr) start = load_four(static_cast<const float *>(bias.data) + channel, count, false);
#pragma unroll
        for (int pixel = 0; pixel < PIXELS; pixel++) {
            if (at.x + pixel < s.out[2]) {
                const int64_t row = s.out_line(at.n, at.z, at.y) + at.x + pixel;
                four<Y> result = {};
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    float v = sum[pixel][j] + start.at[j];
                    if (residual.data != nullptr && j < count) {
                        v += load_real(residual, row * residual.pitch + channel + j);
                    }
                    result.at[j] = from_float<Y>(act(v));
                }
                store_four(static_cast<Y *>(y.data) + row * y.pitch + channel, result, count, stores);
            }
        }
    }

    static DEVICE void run(const call &c) {
        const conv_shape s(c.arg[DW_X], c.arg[4], c.params.groups);
        if (in_fours<X>(c.arg[DW_X]) && s.in_channels % 4 == 0) {
            work<true>(c, s);
        } else {
            work<false>(c, s);
        }
    }
};

/* -- INT8 ------------------------------------------------------------------------------------------------------------ */

/* Exact. COLUMNS: the steps of the weights are three columns of up to four lines; else four taps each. */
template <bool COLUMNS, int STRIDE, int PIXELS> struct conv_depthwise_s8 {
    static constexpr int threads = 128, blocks = 4;
    using call = ingot::call<7, ingot_conv_s8_params>;
    enum { SUMS = 4, SCALE, Y };

    template <bool WIDE>
    static DEVICE uint32_t channels_of(const int8_t *line, int64_t at, bool there, int32_t count, uint32_t zeros) {
        uint32_t word = zeros;
        if constexpr (WIDE) {
            if (there) word = *reinterpret_cast<const uint32_t *>(line + at);
        } else if (there) {
            const four<uint8_t> x = load_four(reinterpret_cast<const uint8_t *>(line) + at, count, false);
            word = x.at[0] | (uint32_t)x.at[1] << 8 | (uint32_t)x.at[2] << 16 | (uint32_t)x.at[3] << 24;
        }
        return word;
    }

    static DEVICE void add(int32_t (&sum)[4], const uint32_t (&x)[4], const four<uint32_t> &w) {
#pragma unroll
        for (int j = 0; j < 4; j++) sum[j] = dot4(x[j], w.at[j], sum[j]);
    }

    /* Column by column: each is turned once for all pixels that it belongs to. */
    template <bool WIDE>
    static DEVICE void add_columns(int32_t (&sum)[PIXELS][4], const conv_shape &s, const ingot_conv_params &p,
                                   const conv_place &at, const ingot_cuda_arg &x, const uint32_t *w, int32_t count,
                                   uint32_t zeros) {
        const int8_t *lines[4];
        four<uint32_t> weights[3];
#pragma unroll
        for (int k = 0; k < 3; k++) weights[k] = *reinterpret_cast<const four<uint32_t> *>(w + k * 64);
#pragma unroll
        for (int line = 0; line < 4; line++) {
            const int32_t kz = line / p.kernel[1], ky = line % p.kernel[1];
            lines[line] = kz < p.kernel[0]
                              ? dw_line<int8_t>(s, x, at, at.z * p.strides[0] - p.pads_begin[0] + kz * p.dilations[0],
                                                at.y * p.strides[1] - p.pads_begin[1] + ky * p.dilations[1])
                              : nullptr;
        }
        const int32_t first = at.x * STRIDE - p.pads_begin[2];
#pragma unroll
        for (int i = 0; i < (PIXELS - 1) * STRIDE + 3; i++) {
            const int32_t column = first + i;
            const bool inside = column >= 0 && column < s.in[2];
            uint32_t taps[4];
#pragma unroll
            for (int line = 0; line < 4; line++) {
                taps[line] =
                    channels_of<WIDE>(lines[line], column * x.pitch, inside && lines[line] != nullptr, count, zeros);
            }
            transpose_bytes(taps);
#pragma unroll
            for (int pixel = 0; pixel < PIXELS; pixel++) {
                const int k = i - pixel * STRIDE;
                if (k >= 0 && k < 3) add(sum[pixel], taps, weights[k]);
            }
        }
    }

    /* Four taps at a time, as they follow each other. */
    template <bool WIDE>
    static DEVICE void add_taps(int32_t (&sum)[PIXELS][4], const conv_shape &s, const ingot_conv_params &p,
                                const conv_place &at, const ingot_cuda_arg &x, const uint32_t *w, int32_t count,
                                uint32_t zeros) {
        const int32_t taps = p.kernel[0] * p.kernel[1] * p.kernel[2];
        for (int32_t tap = 0; tap < taps; tap += 4, w += 64) {
            const four<uint32_t> weights = *reinterpret_cast<const four<uint32_t> *>(w);
            uint32_t found[PIXELS][4];
#pragma unroll
            for (int t = 0; t < 4; t++) {
                const int32_t kx = (tap + t) % p.kernel[2], line_of = (tap + t) / p.kernel[2];
                const int32_t ky = line_of % p.kernel[1], kz = line_of / p.kernel[1];
                const int8_t *line =
                    kz < p.kernel[0]
                        ? dw_line<int8_t>(s, x, at, at.z * p.strides[0] - p.pads_begin[0] + kz * p.dilations[0],
                                          at.y * p.strides[1] - p.pads_begin[1] + ky * p.dilations[1])
                        : nullptr;
#pragma unroll
                for (int pixel = 0; pixel < PIXELS; pixel++) {
                    const int32_t column = (at.x + pixel) * p.strides[2] - p.pads_begin[2] + kx * p.dilations[2];
                    const bool inside = line != nullptr && column >= 0 && column < s.in[2];
                    found[pixel][t] = channels_of<WIDE>(line, column * x.pitch, inside, count, zeros);
                }
            }
#pragma unroll
            for (int pixel = 0; pixel < PIXELS; pixel++) {
                transpose_bytes(found[pixel]);
                add(sum[pixel], found[pixel], weights);
            }
        }
    }

    template <bool WIDE> static DEVICE void work(const call &c, const conv_shape &s) {
        const ingot_cuda_arg &x = c.arg[DW_X], &y = c.arg[Y];
        const ingot_conv_params &p = c.params.conv;
        const int32_t zero = c.params.numbers.input_zero;
        const conv_place at(s, blockIdx.x * threads + threadIdx.x, (s.in_channels + 3) / 4, PIXELS, true);
        if (!at.there) return;
        const int32_t channel = at.channel * 4, count = at_most_four(s.in_channels - channel);
        const uint32_t *w = dw_weights_s8(c.arg[DW_W], channel), zeros = (uint32_t)(zero & 255) * 0x01010101u;
        int32_t sum[PIXELS][4] = {};
        if constexpr (COLUMNS) {
            add_columns<WIDE>(sum, s, p, at, x, w, count, zeros);
        } else {
            add_taps<WIDE>(sum, s, p, at, x, w, count, zeros);
        }
        const end_s8 end(c.params.numbers, p.activation);
        const columns_s8 results(c.arg[DW_BIAS], c.arg[SUMS], c.arg[SCALE], zero, 0, channel, count);
#pragma unroll
        for (int pixel = 0; pixel < PIXELS; pixel++) {
            if (at.x + pixel < s.out[2]) {
                results.finish(sum[pixel], end, c.arg[DW_RESIDUAL], y, s.out_line(at.n, at.z, at.y) + at.x + pixel);
            }
        }
    }

    static DEVICE void run(const call &c) {
        const conv_shape s(c.arg[DW_X], c.arg[Y], c.params.conv.groups);
        if (in_fours<int8_t>(c.arg[DW_X]) && s.in_channels % 4 == 0) {
            work<true>(c, s);
        } else {
            work<false>(c, s);
        }
    }
};

} // namespace ingot
