/* resize_s8, compiled once for each instruction set. */
#include "resize/resize_s8.h"

static void resize_s8_mix(int32_t *to, const int8_t *from, const resize_tap *tap, int64_t taps, int64_t n) {
    int8_t few[INGOT_S8_SUMS] = {0};
    for (int64_t i = 0; i < n; i += INGOT_S8_SUMS) {
        int32_t sum[INGOT_S8_SUMS] = {0};
        for (int64_t t = 0; t < taps; t++) {
            const int8_t *x = from + tap[t].offset + i;
            const int32_t weight = (int32_t)tap[t].weight;
            if (n - i < INGOT_S8_SUMS) {
                memcpy(few, x, (size_t)(n - i));
                x = few;
            }
            for (int j = 0; j < INGOT_S8_SUMS; j++) sum[j] += weight * x[j];
        }
        memcpy(to + i, sum, sizeof sum);
    }
}

/* What is left or right behind n may be anything. */
static void resize_s8_blend(const ingot_requantize *result, const ingot_arg *out, int64_t at, const int32_t *left,
                            const int32_t *right, const int32_t weights[2], int32_t offset, int64_t n) {
    const uint32_t wl = (uint32_t)weights[0], wr = (uint32_t)weights[1];
    int32_t sum[INGOT_S8_GROUP];
    for (int64_t first = 0; first < n; first += INGOT_S8_GROUP) {
        const int64_t some = n - first < INGOT_S8_GROUP ? n - first : INGOT_S8_GROUP;
        for (int64_t i = 0; i < some; i += INGOT_S8_SUMS) {
            for (int j = 0; j < INGOT_S8_SUMS; j++) {
                const int64_t k = first + i + j;
                sum[i + j] = (int32_t)(wl * (uint32_t)left[k] + wr * (uint32_t)right[k]);
            }
        }
        INGOT_STORE_SUMS_S8(result, out, at + first, sum, offset, some);
    }
}

INGOT_KERNEL_FN(resize_s8) {
    static const resize_s8_steps steps = {resize_s8_mix, resize_s8_blend};
    return ingot_resize_s8_run(call, begin, end, scratch, &steps);
}
