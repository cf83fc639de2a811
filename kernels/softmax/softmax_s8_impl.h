/* softmax_s8, compiled once for each instruction set. */
#include <string.h>

#include "softmax/softmax_s8.h"

static int8_t softmax_s8_largest(const int8_t *x, int64_t n) {
    int8_t most[INGOT_S8_SUMS], rest[INGOT_S8_SUMS], largest = INT8_MIN;
    memset(most, INT8_MIN, sizeof most);
    memset(rest, INT8_MIN, sizeof rest);
    int64_t i = 0;
    for (; i + INGOT_S8_SUMS <= n; i += INGOT_S8_SUMS) {
        for (int j = 0; j < INGOT_S8_SUMS; j++) most[j] = x[i + j] > most[j] ? x[i + j] : most[j];
    }
    memcpy(rest, x + i, (size_t)(n - i));
    for (int j = 0; j < INGOT_S8_SUMS; j++) most[j] = rest[j] > most[j] ? rest[j] : most[j];
    for (int j = 0; j < 16; j++) most[j] = most[j + 16] > most[j] ? most[j + 16] : most[j];
    for (int j = 0; j < 8; j++) most[j] = most[j + 8] > most[j] ? most[j + 8] : most[j];
    for (int j = 0; j < 8; j++) largest = most[j] > largest ? most[j] : largest;
    return largest;
}

static void softmax_s8_divide(const ingot_requantize *result, uint8_t dtype, void *y, const int32_t *e, float total,
                              int64_t n) {
    float p[INGOT_S8_GROUP]; /* n is at most that */
    for (int64_t i = 0; i < n; i += INGOT_S8_SUMS) {
        for (int j = 0; j < INGOT_S8_SUMS; j++) p[i + j] = (float)e[i + j] / total;
    }
    INGOT_STORE_S8(result, dtype, y, p, n);
}

INGOT_KERNEL_FN(softmax_s8) {
    static const softmax_s8_steps steps = {softmax_s8_largest, softmax_s8_divide};
    (void)scratch;
    return ingot_softmax_s8_run(call, begin, end, &steps);
}
