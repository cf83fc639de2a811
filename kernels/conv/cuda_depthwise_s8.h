/* Weights of INT8 depthwise convolutions, and bytes turned so that dot4 takes four taps of a channel: what the CUDA
 * kernels of depthwise.cu and depthwise_windows_s8.cu share. */
#ifndef INGOT_CONV_CUDA_DEPTHWISE_S8_H
#define INGOT_CONV_CUDA_DEPTHWISE_S8_H

#include "cuda_epilogue.h"

namespace ingot {

/* Bytes of four taps by four channels, to those of four channels by four taps. */
DEVICE void transpose_bytes(uint32_t (&x)[4]) {
    const uint32_t a = permute_bytes(x[0], x[1], 0x5140), b = permute_bytes(x[2], x[3], 0x5140);
    const uint32_t c = permute_bytes(x[0], x[1], 0x7362), d = permute_bytes(x[2], x[3], 0x7362);
    x[0] = permute_bytes(a, b, 0x5410);
    x[1] = permute_bytes(a, b, 0x7632);
    x[2] = permute_bytes(c, d, 0x5410);
    x[3] = permute_bytes(c, d, 0x7632);
}

/* Weights as conv_s8_dw has them: blocks of 64 channels, [steps][64 in that order][4]; four channels from c on. */
DEVICE const uint32_t *dw_weights_s8(const ingot_cuda_arg &w, int32_t c) {
    const int32_t lane = c % 64, place = lane % 16 / 4 * 16 + lane / 16 * 4 + lane % 4;
    return static_cast<const uint32_t *>(w.data) + (int64_t)(c / 64) * w.dims[1] * 64 + place;
}

} // namespace ingot

#endif
