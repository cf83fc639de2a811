/* reduce_s8, compiled once for each instruction set. */
#include <string.h>

#include "reduce/reduce_s8.h"

_Static_assert(REDUCE_ROWS <= 256, "so many int8 numbers add up to an int16");

/* n <= 32 columns, in registers: fewer are copied to where 32 can be read. */
static void reduce_s8_columns(int32_t *total, const int8_t *p, int64_t rows, int64_t row_step, int64_t n) {
    int8_t few[INGOT_S8_SUMS] = {0};
    while (rows > 0) {
        int16_t part[INGOT_S8_SUMS] = {0};
        for (int64_t row = 0; row < REDUCE_ROWS && rows > 0; row++, rows--, p += row_step) {
            const int8_t *x = p;
            if (n < INGOT_S8_SUMS) {
                memcpy(few, p, (size_t)n);
                x = few;
            }
            for (int j = 0; j < INGOT_S8_SUMS; j++) part[j] = (int16_t)(part[j] + x[j]);
        }
        for (int j = 0; j < INGOT_S8_SUMS; j++) total[j] += part[j];
    }
}

static int32_t reduce_s8_run(const int8_t *p, int64_t n) {
    int32_t total[INGOT_S8_SUMS] = {0};
    const int64_t rows = n / INGOT_S8_SUMS, rest = n % INGOT_S8_SUMS;
    reduce_s8_columns(total, p, rows, INGOT_S8_SUMS, INGOT_S8_SUMS);
    for (int j = 1; j < INGOT_S8_SUMS; j++) total[0] += total[j];
    for (int64_t i = 0; i < rest; i++) total[0] += p[rows * INGOT_S8_SUMS + i];
    return total[0];
}

static void reduce_s8_store(const ingot_requantize *result, const ingot_arg *out, int64_t at,
                            const int32_t sum[INGOT_S8_SUMS], int32_t offset, int64_t n) {
    ingot_s8_store_sums(result, out, at, sum, offset, n);
}

INGOT_KERNEL_FN(reduce_s8) {
    static const reduce_s8_steps steps = {reduce_s8_columns, reduce_s8_run, reduce_s8_store};
    (void)scratch;
    return ingot_reduce_s8_run(call, begin, end, &steps);
}
