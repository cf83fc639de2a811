/* The end of device kernels that add up int8: the same bits as store_s8_impl.h on the CPU. */
#ifndef INGOT_CUDA_STORE_S8_H
#define INGOT_CUDA_STORE_S8_H

#include "cuda_device.h"
#include "scales_s8.h"

namespace ingot {

/* A number to a result, int8 or float32: multiplied, and then, for int8, rounded. */
template <class Out> DEVICE Out finish_s8(const ingot_requantize &q, float x);
template <> DEVICE int8_t finish_s8<int8_t>(const ingot_requantize &q, float x) { return ingot_requantize_s8(&q, x); }
template <> DEVICE float finish_s8<float>(const ingot_requantize &q, float x) {
    return ingot_clamp_f32(&q, x * q.inverse_scale);
}

/* Binary32 to int8 in the way of QuantizeLinear. */
DEVICE int8_t finish_linear_s8(const ingot_linear_s8 &l, float x) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to whole numbers */
    float v = x / l.divisor / l.scale + l.offset;
    v = v == v ? v : 0.0f;
    v = v < l.min ? l.min : v;
    v = v > l.max ? l.max : v;
    return (int8_t)((int32_t)((v + magic) - magic) + l.shift);
}

} // namespace ingot

#endif
