/* normalize_s8, compiled once for each instruction set. */
#include "normalize/normalize_s8.h"

#if !defined(INGOT_ISA_portable)
#include "lanes_s8.h"
#endif

enum { NORMALIZE_S8_TERMS = 1 << 14 }; /* squares of 255 whose sum fits int32 */

static normalize_s8_moments normalize_s8_of(const int8_t *x, int64_t n, int32_t zero) {
    normalize_s8_moments moments = {0, 0};
    for (int64_t first = 0; first < n; first += NORMALIZE_S8_TERMS) {
        const int64_t some = n - first < NORMALIZE_S8_TERMS ? n - first : NORMALIZE_S8_TERMS;
        int32_t sum = 0, squares = 0;
        for (int64_t i = first; i < first + some; i++) {
            const int16_t d = (int16_t)(x[i] - zero); /* of 16 bits: compilers know an instruction for their products */
            sum += d;
            squares += (int32_t)d * d;
        }
        moments.sum += sum;
        moments.squares += squares;
    }
    return moments;
}

#if defined(INGOT_ISA_portable)
static void normalize_s8_apply(const ingot_requantize *result, uint8_t dtype, void *y, const int8_t *x, int64_t n,
                               const normalize_s8_columns *columns) {
    const normalize_s8_columns c = *columns;
    float v[INGOT_S8_GROUP];
    for (int64_t j = 0; j < n; j++) {
        v[j] = (float)(c.count * (x[j] - c.zero) - c.sum[j * c.step]) * c.inverse[j * c.step];
    }
    for (int64_t j = 0; j < n; j++) v[j] = ingot_fma_f32(v[j], c.scale[j], c.bias[j]);
    INGOT_STORE_S8(result, dtype, y, v, n);
}
#else
/* Sixteen numbers, of which n are wanted. */
INGOT_INLINE void normalize_s8_lanes(const ingot_requantize *result, const int stored, void *y, const int8_t *x,
                                     int64_t n, const normalize_s8_columns *c) {
    const w16 d = w16_add(w16_load_bytes(x, n), w16_set1(-c->zero));
    const w16 sum = c->step ? w16_load_n(c->sum, n) : w16_set1(*c->sum);
    const v16 inverse = c->step ? v16_load_n(c->inverse, n) : v16_set1(*c->inverse);
    v16 v = v16_mul(w16_real(w16_add(w16_mul(d, w16_set1(c->count)), w16_mul(sum, w16_set1(-1)))), inverse);
    v = v16_mul(v16_fma(v, v16_load_n(c->scale, n), v16_load_n(c->bias, n)), v16_set1(result->inverse_scale));
    if (stored) {
        v = v16_min(v16_set1(result->max), v16_max(v16_set1(result->min), v));
        w16_store_bytes(y, w16_add(w16_round(v), w16_set1(result->zero)), n);
    } else {
        v16_store_n(y, v16_one_nan(v), n);
    }
}

/* `stored`, a constant: in int8. */
INGOT_INLINE void normalize_s8_all(const ingot_requantize *result, const int stored, char *y, const int8_t *x,
                                   int64_t n, normalize_s8_columns c) {
    for (; n >= 16; n -= 16) {
        normalize_s8_lanes(result, stored, y, x, 16, &c);
        y += stored ? 16 : 16 * sizeof(float);
        x += 16, c.scale += 16, c.bias += 16;
        c.sum += 16 * c.step, c.inverse += 16 * c.step;
    }
    if (n > 0) {
        normalize_s8_lanes(result, stored, y, x, n, &c);
    }
}

static void normalize_s8_apply(const ingot_requantize *result, uint8_t dtype, void *y, const int8_t *x, int64_t n,
                               const normalize_s8_columns *columns) {
    if (dtype == INGOT_I8) {
        normalize_s8_all(result, 1, y, x, n, *columns);
    } else {
        normalize_s8_all(result, 0, y, x, n, *columns);
    }
}
#endif

INGOT_KERNEL_FN(normalize_s8) {
    static const normalize_s8_steps steps = {normalize_s8_of, normalize_s8_apply};
    return ingot_normalize_s8_run(call, begin, end, scratch, &steps);
}
