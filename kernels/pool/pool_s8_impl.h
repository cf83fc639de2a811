/* pool_s8, compiled once for each instruction set: maxima and averages of int8, by blocks of channels. An average is
 * the exact sum of the elements inside the input, less the zero point, times scale / count. */
#include <string.h>

#include "pool/pool_s8.h"

/* Folds n <= 32 elements side by side, in registers: fewer are copied to where 32 can be read. */
#define POOL_S8_FOLD(name, T, init, how)                                                                               \
    static void name(T *out, const int8_t *p, const pool_taps *taps, int64_t n) {                                      \
        T some[INGOT_S8_SUMS];                                                                                         \
        int8_t few[INGOT_S8_SUMS] = {0};                                                                               \
        for (int j = 0; j < INGOT_S8_SUMS; j++) some[j] = init;                                                        \
        for (int64_t a = 0; a < taps->count[0]; a++) {                                                                 \
            for (int64_t b = 0; b < taps->count[1]; b++) {                                                             \
                const int8_t *q = p + a * taps->step[0] + b * taps->step[1];                                           \
                for (int64_t c = 0; c < taps->count[2]; c++, q += taps->step[2]) {                                     \
                    const int8_t *x = q;                                                                               \
                    if (n < INGOT_S8_SUMS) {                                                                           \
                        memcpy(few, q, (size_t)n);                                                                     \
                        x = few;                                                                                       \
                    }                                                                                                  \
                    for (int j = 0; j < INGOT_S8_SUMS; j++) some[j] = (T)(how);                                        \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        memcpy(out, some, (size_t)n * sizeof *out);                                                                    \
    }
POOL_S8_FOLD(pool_s8_max, int8_t, INT8_MIN, x[j] > some[j] ? x[j] : some[j])
POOL_S8_FOLD(pool_s8_sum, int32_t, 0, some[j] + x[j])

/* The last block overlaps the one before, if there is one. */
static void pool_s8_pixel(const pool_s8_window *window, const ingot_arg *out, int64_t at) {
    const int64_t channels = out->dims[out->rank - 1];
    const int64_t n = channels < INGOT_S8_SUMS ? channels : INGOT_S8_SUMS;
    int32_t sum[INGOT_S8_SUMS] = {0};
    for (int64_t c = 0; c < channels; c += n) {
        c = c + n > channels ? channels - n : c;
        if (window->average == NULL) {
            pool_s8_max((int8_t *)out->data + at + c, window->in + c, &window->taps, n);
        } else {
            pool_s8_sum(sum, window->in + c, &window->taps, n);
            ingot_s8_store_sums(window->average, out, at + c, sum, window->offset, n);
        }
    }
}

INGOT_KERNEL_FN(pool_s8) {
    (void)scratch;
    return ingot_pool_s8_run(call, begin, end, pool_s8_pixel);
}
