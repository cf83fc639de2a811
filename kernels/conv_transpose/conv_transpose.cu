/* Transposed convolution as a gather: a thread has four output channels of a few pixels of a row that use the same
 * taps, which is those of one phase (conv_transpose_shape.h). Weights lie as the CPU's kernels have them, taps sorted
 * by phase, or in ONNX's order. */
#include "conv_transpose/conv_transpose.h"
#include "cuda_products.h"

namespace ingot {

enum { DECONV_X, DECONV_W, DECONV_BIAS, DECONV_RESIDUAL, DECONV_Y };

/* The extents, brought to three spatial axes. */
struct deconv_shape {
    int32_t batch, in[3], out[3], group_in, group_out, groups;

    DEVICE deconv_shape(const ingot_cuda_arg &x, const ingot_cuda_arg &y, int32_t groups) : groups(groups) {
        const int missing = 5 - (int)x.rank;
        batch = x.dims[0];
        group_in = x.dims[x.rank - 1] / groups;
        group_out = y.dims[y.rank - 1] / groups;
#pragma unroll
        for (int i = 0; i < 3; i++) {
            in[i] = i < missing ? 1 : x.dims[1 + i - missing];
            out[i] = i < missing ? 1 : y.dims[1 + i - missing];
        }
    }
};

/* The taps of an axis that an output position uses: how many, and how many come before them, sorted by phase. */
struct deconv_axis {
    int32_t phase, before, count;

    DEVICE deconv_axis(const ingot_conv_transpose_params &p, int axis, int32_t position) : before(0), count(0) {
        phase = (position + p.pads_begin[axis]) % p.strides[axis];
        for (int32_t k = 0; k < p.kernel[axis]; k++) {
            const int32_t other = k * p.dilations[axis] % p.strides[axis];
            before += other < phase;
            count += other == phase;
        }
    }
};

/* What a thread has: columns of a group, and pixels of a row that are a stride apart. */
template <int PIXELS> struct deconv_place {
    int32_t group, column, first, count; /* column within the group; first of all columns; how many there are */
    int64_t panel;
    int32_t x, y, z, n;
    bool there;

    DEVICE deconv_place(const deconv_shape &s, int32_t stride, uint32_t index) {
        const uint32_t quarters = (s.group_out + 3) / 4, columns = quarters * s.groups;
        const uint32_t chunks = ((s.out[2] + stride - 1) / stride + PIXELS - 1) / PIXELS;
        group = index % columns / quarters;
        column = index % quarters * 4; /* quarters divide columns */
        first = group * s.group_out + column;
        count = s.group_out - column < 4 ? s.group_out - column : 4;
        panel = (int64_t)group * ((s.group_out + 15) / 16) + column / 16;
        index /= columns;
        const uint32_t chunk = index % chunks;
        index /= chunks;
        x = index % stride + chunk * PIXELS * stride;
        index /= stride;
        y = index % s.out[1];
        index /= s.out[1];
        z = index % s.out[0];
        n = index / s.out[0];
        there = n < s.batch && x < s.out[2];
    }
    DEVICE int64_t row(const deconv_shape &s, int32_t pixel, int32_t stride) const {
        return (((int64_t)n * s.out[0] + z) * s.out[1] + y) * s.out[2] + x + pixel * stride;
    }
};

/* The input position that tap k of an axis reads, and whether there is one: the tap is one of the phase. */
DEVICE bool deconv_source(const ingot_conv_transpose_params &p, const deconv_shape &s, int axis, int32_t position,
                          int32_t k, int32_t *source) {
    const int32_t at = position + p.pads_begin[axis] - k * p.dilations[axis];
    *source = at / p.strides[axis];
    return at >= 0 && *source < s.in[axis];
}

DEVICE bool deconv_uses(const ingot_conv_transpose_params &p, int axis, int32_t phase, int32_t k) {
    return k * p.dilations[axis] % p.strides[axis] == phase;
}

/* The phase of a thread's pixels: as one number, and the first of its taps in the sorted order. */
struct deconv_phase {
    deconv_axis z, y, x;
    int32_t number, first;

    template <int PIXELS>
    DEVICE deconv_phase(const ingot_conv_transpose_params &p, const deconv_place<PIXELS> &at)
        : z(p, 0, at.z), y(p, 1, at.y), x(p, 2, at.x) {
        number = (z.phase * p.strides[1] + y.phase) * p.strides[2] + x.phase;
        first = z.before * p.kernel[1] * p.kernel[2] + z.count * (y.before * p.kernel[2] + y.count * x.before);
    }
};

/* Calls body(tap as it is numbered in the kernel, addresses of the pixels' channels, null outside the image) for each
 * tap of the phase, in the sorted order. */
template <int PIXELS, class X, class Body>
DEVICE void deconv_taps(const deconv_shape &s, const ingot_conv_transpose_params &p, const deconv_place<PIXELS> &at,
                        const deconv_phase &phase, const ingot_cuda_arg &x, const Body &body) {
    const X *data = static_cast<const X *>(x.data) + at.group * s.group_in;
    for (int32_t kz = 0; kz < p.kernel[0]; kz++) {
        int32_t z, y, column;
        if (!deconv_uses(p, 0, phase.z.phase, kz)) continue;
        const bool plane = deconv_source(p, s, 0, at.z, kz, &z);
        for (int32_t ky = 0; ky < p.kernel[1]; ky++) {
            if (!deconv_uses(p, 1, phase.y.phase, ky)) continue;
            const bool line = deconv_source(p, s, 1, at.y, ky, &y) && plane;
            const int64_t row = (((int64_t)at.n * s.in[0] + z) * s.in[1] + y) * s.in[2];
            for (int32_t kx = 0; kx < p.kernel[2]; kx++) {
                if (!deconv_uses(p, 2, phase.x.phase, kx)) continue;
                const X *pixels[PIXELS];
#pragma unroll
                for (int i = 0; i < PIXELS; i++) {
                    const int32_t position = at.x + i * p.strides[2];
                    const bool there = deconv_source(p, s, 2, position, kx, &column) && line && position < s.out[2];
                    pixels[i] = there ? data + (row + column) * x.pitch : nullptr;
                }
                body((kz * p.kernel[1] + ky) * p.kernel[2] + kx, pixels);
            }
        }
    }
}

/* x in X and y in Y, weights in panels of T; the residual is float32 or half. */
template <class T, class X, class Y, int KIND> struct conv_transpose {
    static constexpr int threads = 128, blocks = 4, pixels = 4;
    using call = ingot::call<5, ingot_conv_transpose_params>;

    template <bool WIDE> static DEVICE void work(const call &c, const deconv_shape &s) {
        const ingot_cuda_arg &x = c.arg[DECONV_X], &y = c.arg[DECONV_Y];
        const int32_t stride = c.params.strides[2];
        const deconv_place<pixels> at(s, stride, blockIdx.x * threads + threadIdx.x);
        if (!at.there) return;
        const deconv_phase phase(c.params, at);
        const panels<T> w(panel_at<T>(c.arg[DECONV_W], at.panel), at.column % 16);
        float sum[pixels][4] = {};
        int32_t tap = phase.first;
        deconv_taps<pixels, X>(s, c.params, at, phase, x, [&](int32_t, const X *const(&from)[pixels]) {
            add_tap<WIDE>(sum, w, tap * s.group_in, tap, from, s.group_in);
            tap++;
        });
        const activation<KIND> act(c.params.activation);
        const bool stores = in_fours<Y>(y) && at.first % 4 == 0;
#pragma unroll
        for (int i = 0; i < pixels; i++) {
            if (at.x + i * stride < s.out[2]) {
                finish_four<Y>(sum[i], act, c.arg[DECONV_BIAS], c.arg[DECONV_RESIDUAL], y, at.row(s, i, stride),
                               at.first, at.count, stores);
            }
        }
    }

    static DEVICE void run(const call &c) {
        const deconv_shape s(c.arg[DECONV_X], c.arg[DECONV_Y], c.params.groups);
        if (in_fours<X>(c.arg[DECONV_X]) && s.group_in % 4 == 0) {
            work<true>(c, s);
        } else {
            work<false>(c, s);
        }
    }
};

/* Everything in T, float or double; weights in ONNX's order. */
template <class T, int KIND> struct conv_transpose_plain {
    static constexpr int threads = 128, blocks = 4, pixels = 4;
    using call = ingot::call<5, ingot_conv_transpose_params>;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &x = c.arg[DECONV_X], &y = c.arg[DECONV_Y];
        const int32_t stride = c.params.strides[2];
        const deconv_shape s(x, y, c.params.groups);
        const deconv_place<pixels> at(s, stride, blockIdx.x * threads + threadIdx.x);
        if (!at.there) return;
        const deconv_phase phase(c.params, at);
        const int64_t taps = (int64_t)c.params.kernel[0] * c.params.kernel[1] * c.params.kernel[2];
        const int64_t channel = s.group_out * taps, first = at.group * s.group_in * channel + at.column * taps;
        const plain<T> w(static_cast<const T *>(c.arg[DECONV_W].data) + first, taps, channel, at.count);
        T sum[pixels][4] = {};
        deconv_taps<pixels, T>(s, c.params, at, phase, x, [&](int32_t tap, const T *const(&from)[pixels]) {
            add_tap<false>(sum, w, 0, tap, from, s.group_in);
        });
        const activation<KIND> act(c.params.activation);
#pragma unroll
        for (int i = 0; i < pixels; i++) {
            if (at.x + i * stride < s.out[2]) {
                finish_four<T>(sum[i], act, c.arg[DECONV_BIAS], c.arg[DECONV_RESIDUAL], y, at.row(s, i, stride),
                               at.first, at.count, false);
            }
        }
    }
};

/* INT8, exact. */
template <int PIXELS> struct conv_transpose_s8 {
    static constexpr int threads = 128, blocks = 4;
    using call = ingot::call<7, ingot_conv_transpose_s8_params>;
    enum { SUMS = 4, SCALE, Y };

    template <bool WIDE> static DEVICE void work(const call &c, const deconv_shape &s) {
        const ingot_cuda_arg &x = c.arg[DECONV_X], &y = c.arg[Y];
        const ingot_conv_transpose_params &p = c.params.conv;
        const int32_t zero = c.params.numbers.input_zero, stride = p.strides[2];
        const deconv_place<PIXELS> at(s, stride, blockIdx.x * threads + threadIdx.x);
        if (!at.there) return;
        const deconv_phase phase(p, at);
        products_s8<PIXELS> products(c.arg[DECONV_W], at.panel, at.column % 16, zero);
        products.at += (int64_t)phase.first * ((s.group_in + 3) / 4) * 16;
        deconv_taps<PIXELS, int8_t>(s, p, at, phase, x, [&](int32_t, const int8_t *const(&from)[PIXELS]) {
            products.template add_tap<WIDE>(from, s.group_in);
            products.finish();
        });
        const end_s8 end(c.params.numbers, p.activation);
        const columns_s8 results(c.arg[DECONV_BIAS], c.arg[SUMS], c.arg[SCALE], zero, phase.number, at.first, at.count);
#pragma unroll
        for (int i = 0; i < PIXELS; i++) {
            if (at.x + i * stride < s.out[2]) {
                results.finish(products.sum[i], end, c.arg[DECONV_RESIDUAL], y, at.row(s, i, stride));
            }
        }
    }

    static DEVICE void run(const call &c) {
        const deconv_shape s(c.arg[DECONV_X], c.arg[Y], c.params.conv.groups);
        if (in_fours<int8_t>(c.arg[DECONV_X]) && s.group_in % 4 == 0) {
            work<true>(c, s);
        } else {
            work<false>(c, s);
        }
    }
};

} // namespace ingot
