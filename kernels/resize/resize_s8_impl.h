/* resize_s8, compiled once for each instruction set. */
#include "resize/resize_s8.h"

/* 32 numbers from p on, of which n are to be read. */
static inline const int8_t *block_of(const int8_t *p, int64_t n, int8_t few[INGOT_S8_SUMS]) {
    if (n >= INGOT_S8_SUMS) {
        return p;
    }
    memcpy(few, p, (size_t)n);
    return few;
}

static void resize_s8_mix(int32_t *to, const int8_t *from, const resize_tap *tap, int64_t taps, int64_t n) {
    const resize_tap none = {tap[0].offset, 0.0}, *second = taps > 1 ? &tap[1] : &none;
    const int32_t first_weight = (int32_t)tap[0].weight, second_weight = (int32_t)second->weight;
    int8_t few[2][INGOT_S8_SUMS] = {{0}};
    for (int64_t i = 0; i < n; i += INGOT_S8_SUMS) {
        const int8_t *a = block_of(from + tap[0].offset + i, n - i, few[0]);
        const int8_t *b = block_of(from + second->offset + i, n - i, few[1]);
        int32_t *sum = to + i;
        for (int j = 0; j < INGOT_S8_SUMS; j++) sum[j] = first_weight * a[j] + second_weight * b[j];
        for (int64_t t = 2; t < taps; t++) {
            const int8_t *c = block_of(from + tap[t].offset + i, n - i, few[0]);
            for (int j = 0; j < INGOT_S8_SUMS; j++) sum[j] += (int32_t)tap[t].weight * c[j];
        }
    }
}

/* What is left or right behind n may be anything. */
static void resize_s8_blend(int32_t *restrict to, const int32_t *restrict left, const int32_t *restrict right,
                            const int32_t weights[2], int64_t n) {
    const uint32_t wl = (uint32_t)weights[0], wr = (uint32_t)weights[1];
    for (int64_t i = 0; i < n; i += INGOT_S8_SUMS) {
        for (int j = 0; j < INGOT_S8_SUMS; j++) {
            to[i + j] = (int32_t)(wl * (uint32_t)left[i + j] + wr * (uint32_t)right[i + j]);
        }
    }
}

static void resize_s8_dequantise(float *to, const int8_t *from, int64_t n, int32_t zero, float scale) {
    for (int64_t i = 0; i < n; i++) to[i] = (float)(from[i] - zero) * scale;
}

static void resize_s8_corners(float *restrict to, const float *const corner[4], const float weight[4], int64_t n) {
    const float *a = corner[0], *b = corner[1], *c = corner[2], *d = corner[3];
    const float wa = weight[0], wb = weight[1], wc = weight[2], wd = weight[3];
    for (int64_t i = 0; i < n; i++) to[i] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
}

INGOT_KERNEL_FN(resize_s8) {
    static const resize_s8_steps steps = {resize_s8_mix,        resize_s8_blend,   INGOT_STORE_SUMS_S8,
                                          resize_s8_dequantise, resize_s8_corners, INGOT_STORE_LINEAR_S8};
    return ingot_resize_s8_run(call, begin, end, scratch, &steps);
}
