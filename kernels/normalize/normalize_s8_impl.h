/* normalize_s8, compiled once for each instruction set. */
#include "normalize/normalize_s8.h"

enum { NORMALIZE_S8_TERMS = 1 << 14 }; /* squares of 255 whose sum fits int32 */

static normalize_s8_moments normalize_s8_of(const int8_t *x, int64_t n, int32_t zero) {
    normalize_s8_moments moments = {0, 0};
    for (int64_t first = 0; first < n; first += NORMALIZE_S8_TERMS) {
        const int64_t some = n - first < NORMALIZE_S8_TERMS ? n - first : NORMALIZE_S8_TERMS;
        int32_t sum = 0, squares = 0;
        for (int64_t i = first; i < first + some; i++) {
            const int32_t d = x[i] - zero;
            sum += d;
            squares += d * d;
        }
        moments.sum += sum;
        moments.squares += squares;
    }
    return moments;
}

static void normalize_s8_apply(const ingot_requantize *result, uint8_t dtype, void *y, const int8_t *x, int64_t n,
                               const normalize_s8_columns *columns) {
    const normalize_s8_columns c = *columns;
    float v[INGOT_S8_GROUP];
    for (int64_t j = 0; j < n; j++) {
        v[j] = (float)(c.count * (x[j] - c.zero) - c.sum[j]) * c.inverse[j];
    }
    for (int64_t j = 0; j < n; j++) v[j] = ingot_fma_f32(v[j], c.scale[j], c.bias[j]);
    INGOT_STORE_S8(result, dtype, y, v, n);
}

INGOT_KERNEL_FN(normalize_s8) {
    static const normalize_s8_steps steps = {normalize_s8_of, normalize_s8_apply};
    return ingot_normalize_s8_run(call, begin, end, scratch, &steps);
}
