#include "loop.h"
#include "scales_s8.h"

void INGOT_STORE_S8(const ingot_requantize *result, uint8_t dtype, void *y, const float *x, int64_t n) {
    const ingot_requantize q = *result;
    if (dtype == INGOT_F32) {
        float *real = y;
        INGOT_VECTOR_LOOP
        for (int64_t j = 0; j < n; j++) real[j] = x[j] * q.inverse_scale;
    } else {
        int8_t *stored = y;
        INGOT_VECTOR_LOOP
        for (int64_t j = 0; j < n; j++) stored[j] = ingot_requantize_s8(&q, x[j]);
    }
}
