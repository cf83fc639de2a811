/* The extents of a convolution, brought to three spatial axes: what the CUDA kernels of this folder begin with. */
#ifndef INGOT_CONV_CUDA_SHAPE_H
#define INGOT_CONV_CUDA_SHAPE_H

#include "conv/conv.h"
#include "cuda_epilogue.h"

namespace ingot {

struct conv_shape {
    int32_t batch, in[3], out[3], in_channels, out_channels, group_in, group_out;

    DEVICE conv_shape(const ingot_cuda_arg &x, const ingot_cuda_arg &y, int32_t groups) {
        const int missing = 5 - (int)x.rank;
        batch = x.dims[0];
        in_channels = x.dims[x.rank - 1];
        out_channels = y.dims[y.rank - 1];
        group_in = in_channels / groups;
        group_out = out_channels / groups;
#pragma unroll
        for (int i = 0; i < 3; i++) {
            in[i] = i < missing ? 1 : x.dims[1 + i - missing];
            out[i] = i < missing ? 1 : y.dims[1 + i - missing];
        }
    }

    /* Rows of the input before line (z, y) of an image, and of the output. */
    DEVICE int64_t in_line(int32_t n, int32_t z, int32_t y) const {
        return (((int64_t)n * in[0] + z) * in[1] + y) * in[2];
    }
    DEVICE int64_t out_line(int32_t n, int32_t z, int32_t y) const {
        return (((int64_t)n * out[0] + z) * out[1] + y) * out[2];
    }
};

/* Neighbouring output pixels of a row by neighbouring channels, as one of many threads has them. Channels come first,
 * then, if `down`, lines, whose windows overlap, before the pixels of a line. */
struct conv_place {
    int32_t channel, x, y, z, n; /* the first of each; `channel` counts blocks of channels */
    bool there;

    DEVICE conv_place(const conv_shape &s, uint32_t index, uint32_t channels, uint32_t pixels, bool down) {
        const uint32_t chunks = (s.out[2] + pixels - 1) / pixels, lines = s.out[1];
        channel = index % channels;
        index /= channels;
        const uint32_t inner = down ? lines : chunks, outer = down ? chunks : lines;
        const uint32_t first = index % inner, second = index / inner % outer;
        index /= inner;
        index /= outer;
        x = (down ? second : first) * pixels;
        y = down ? first : second;
        z = index % s.out[0];
        n = index / s.out[0];
        there = n < s.batch;
    }
};

} // namespace ingot

#endif
