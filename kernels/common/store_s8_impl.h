#include "loop.h"
#include "store_s8.h"

void INGOT_STORE_S8(const ingot_requantize *result, uint8_t dtype, void *y, const float *x, int64_t n) {
    const ingot_requantize q = *result;
    if (dtype == INGOT_F32) {
        float *real = y;
        INGOT_VECTOR_LOOP
        for (int64_t j = 0; j < n; j++) real[j] = ingot_clamp_f32(&q, x[j] * q.inverse_scale);
    } else {
        int8_t *stored = y;
        INGOT_VECTOR_LOOP
        for (int64_t j = 0; j < n; j++) stored[j] = ingot_requantize_s8(&q, x[j]);
    }
}

void INGOT_STORE_SUMS_S8(const ingot_requantize *result, const ingot_arg *out, int64_t at, const int32_t *sum,
                         int32_t offset, int64_t n) {
    float x[INGOT_S8_GROUP];
    for (int64_t j = 0; j < n; j += INGOT_S8_SUMS) {
        for (int k = 0; k < INGOT_S8_SUMS; k++) {
            x[j + k] = (float)(int32_t)((uint32_t)sum[j + k] - (uint32_t)offset);
        }
    }
    INGOT_STORE_S8(result, out->dtype, (char *)out->data + at * ingot_s8_result_size(out->dtype), x, n);
}

void INGOT_STORE_LINEAR_S8(const ingot_linear_s8 *linear, int8_t *y, const float *x, int64_t n) {
    const ingot_linear_s8 l = *linear;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to whole numbers */
    INGOT_VECTOR_LOOP
    for (int64_t j = 0; j < n; j++) {
        float v = x[j] / l.divisor / l.scale + l.offset;
        v = v == v ? v : 0.0f;
        v = v < l.min ? l.min : v;
        v = v > l.max ? l.max : v;
        y[j] = (int8_t)((int32_t)((v + magic) - magic) + l.shift);
    }
}
