/* Convolution of any kind, as it stands in the definition: a thread has four output channels of a few pixels of a row.
 * For groups, one and three axes, and weights that come at run time: what conv.cu and depthwise.cu leave. */
#include "conv/cuda_shape.h"
#include "cuda_products.h"

namespace ingot {

enum { DIRECT_X, DIRECT_W, DIRECT_BIAS, DIRECT_RESIDUAL, DIRECT_Y };

/* Four output channels: their group, and where their weights lie. */
struct direct_columns {
    int32_t group, column, first, count; /* column within the group; first of all channels; how many there are */
    int64_t panel;

    DEVICE direct_columns(const conv_shape &s, int32_t index) {
        const int32_t quarters = (s.group_out + 3) / 4, group_panels = (s.group_out + 15) / 16;
        group = index / quarters;
        column = index % quarters * 4;
        first = group * s.group_out + column;
        count = s.group_out - column < 4 ? s.group_out - column : 4;
        panel = (int64_t)group * group_panels + column / 16;
    }
    static DEVICE uint32_t blocks(const conv_shape &s) { return s.out_channels / s.group_out * ((s.group_out + 3) / 4); }
};

/* Calls body(tap, addresses of the pixels' channels, null outside the image) for each tap. */
template <int PIXELS, class X, class Body>
DEVICE void direct_taps(const conv_shape &s, const ingot_conv_params &p, const conv_place &at, const ingot_cuda_arg &x,
                        int32_t channel, const Body &body) {
    const X *data = static_cast<const X *>(x.data) + channel;
    int32_t tap = 0;
    for (int32_t kz = 0; kz < p.kernel[0]; kz++) {
        const int32_t z = at.z * p.strides[0] - p.pads_begin[0] + kz * p.dilations[0];
        for (int32_t ky = 0; ky < p.kernel[1]; ky++) {
            const int32_t y = at.y * p.strides[1] - p.pads_begin[1] + ky * p.dilations[1];
            const bool line = z >= 0 && z < s.in[0] && y >= 0 && y < s.in[1];
            const int64_t row = s.in_line(at.n, z, y);
            for (int32_t kx = 0; kx < p.kernel[2]; kx++, tap++) {
                const X *pixels[PIXELS];
#pragma unroll
                for (int i = 0; i < PIXELS; i++) {
                    const int32_t column = (at.x + i) * p.strides[2] - p.pads_begin[2] + kx * p.dilations[2];
                    const bool there = line && column >= 0 && column < s.in[2] && at.x + i < s.out[2];
                    pixels[i] = there ? data + (row + column) * x.pitch : nullptr;
                }
                body(tap, pixels);
            }
        }
    }
}

/* x in X and y in Y, weights in panels of T; the residual is float32 or half. */
template <class T, class X, class Y, int KIND> struct conv_direct {
    static constexpr int threads = 128, blocks = 4, pixels = 4;
    using call = ingot::call<5, ingot_conv_params>;

    template <bool WIDE> static DEVICE void work(const call &c, const conv_shape &s) {
        const ingot_cuda_arg &x = c.arg[DIRECT_X], &y = c.arg[DIRECT_Y];
        const conv_place at(s, blockIdx.x * threads + threadIdx.x, direct_columns::blocks(s), pixels, false);
        if (!at.there) return;
        const direct_columns columns(s, at.channel);
        const panels<T> w(panel_at<T>(c.arg[DIRECT_W], columns.panel), columns.column % 16);
        float sum[pixels][4] = {};
        direct_taps<pixels, X>(s, c.params, at, x, columns.group * s.group_in,
                               [&](int32_t tap, const X *const(&from)[pixels]) {
                                   add_tap<WIDE>(sum, w, tap * s.group_in, tap, from, s.group_in);
                               });
        const activation<KIND> act(c.params.activation);
        const bool stores = in_fours<Y>(y) && columns.first % 4 == 0;
#pragma unroll
        for (int i = 0; i < pixels; i++) {
            if (at.x + i < s.out[2]) {
                finish_four<Y>(sum[i], act, c.arg[DIRECT_BIAS], c.arg[DIRECT_RESIDUAL], y,
                               s.out_line(at.n, at.z, at.y) + at.x + i, columns.first, columns.count, stores);
            }
        }
    }

    static DEVICE void run(const call &c) {
        const conv_shape s(c.arg[DIRECT_X], c.arg[DIRECT_Y], c.params.groups);
        if (in_fours<X>(c.arg[DIRECT_X]) && s.group_in % 4 == 0) {
            work<true>(c, s);
        } else {
            work<false>(c, s);
        }
    }
};

/* Everything in T, float or double; weights in ONNX's order. */
template <class T, int KIND> struct conv_direct_plain {
    static constexpr int threads = 128, blocks = 4, pixels = 4;
    using call = ingot::call<5, ingot_conv_params>;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &x = c.arg[DIRECT_X], &y = c.arg[DIRECT_Y];
        const conv_shape s(x, y, c.params.groups);
        const conv_place at(s, blockIdx.x * threads + threadIdx.x, direct_columns::blocks(s), pixels, false);
        if (!at.there) return;
        const direct_columns columns(s, at.channel);
        const int64_t taps = (int64_t)c.params.kernel[0] * c.params.kernel[1] * c.params.kernel[2];
        const T *first = static_cast<const T *>(c.arg[DIRECT_W].data) + columns.first * s.group_in * taps;
        const plain<T> w(first, s.group_in * taps, taps, columns.count);
        T sum[pixels][4] = {};
        direct_taps<pixels, T>(s, c.params, at, x, columns.group * s.group_in,
                               [&](int32_t tap, const T *const(&from)[pixels]) {
                                   add_tap<false>(sum, w, 0, tap, from, s.group_in);
                               });
        const activation<KIND> act(c.params.activation);
#pragma unroll
        for (int i = 0; i < pixels; i++) {
            if (at.x + i < s.out[2]) {
                finish_four<T>(sum[i], act, c.arg[DIRECT_BIAS], c.arg[DIRECT_RESIDUAL], y,
                               s.out_line(at.n, at.z, at.y) + at.x + i, columns.first, columns.count, false);
            }
        }
    }
};

/* INT8, exact; weights as conv_s8_n16k4 has them when it writes windows out. */
template <int PIXELS> struct conv_direct_s8 {
    static constexpr int threads = 128, blocks = 4;
    using call = ingot::call<7, ingot_conv_s8_params>;
    enum { X, W, BIAS, RESIDUAL, SUMS, SCALE, Y };

    template <bool WIDE> static DEVICE void work(const call &c, const conv_shape &s) {
        const ingot_cuda_arg &x = c.arg[X], &y = c.arg[Y];
        const ingot_conv_params &p = c.params.conv;
        const int32_t zero = c.params.numbers.input_zero;
        const conv_place at(s, blockIdx.x * threads + threadIdx.x, direct_columns::blocks(s), PIXELS, false);
        if (!at.there) return;
        const direct_columns columns(s, at.channel);
        products_s8<PIXELS> products(c.arg[W], columns.panel, columns.column % 16, zero);
        direct_taps<PIXELS, int8_t>(
            s, p, at, x, columns.group * s.group_in,
            [&](int32_t, const int8_t *const(&from)[PIXELS]) { products.template add_tap<WIDE>(from, s.group_in); });
        products.finish();
        const end_s8 end(c.params.numbers, p.activation);
        const columns_s8 results(c.arg[BIAS], c.arg[SUMS], c.arg[SCALE], zero, 0, columns.first, columns.count);
#pragma unroll
        for (int i = 0; i < PIXELS; i++) {
            if (at.x + i < s.out[2]) {
                results.finish(products.sum[i], end, c.arg[RESIDUAL], y, s.out_line(at.n, at.z, at.y) + at.x + i);
            }
        }
    }

    static DEVICE void run(const call &c) {
        const conv_shape s(c.arg[X], c.arg[Y], c.params.conv.groups);
        if (in_fours<int8_t>(c.arg[X]) && s.group_in % 4 == 0) {
            work<true>(c, s);
        } else {
            work<false>(c, s);
        }
    }
};

} // namespace ingot
