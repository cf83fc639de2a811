/* reduce_s8, compiled for the instruction sets that have vectors. */
#include "block_s8.h"
#include "reduce/reduce_s8.h"

INGOT_INLINE void columns_block(int32_t *total, const int8_t *p, int64_t rows, int64_t row_step, int64_t n) {
    while (rows > 0) {
        ingot_block_sums sums = {0};
        for (int row = 0; row < INGOT_BLOCK_ROWS && rows > 0; row++, rows--, p += row_step) {
            ingot_block_add(&sums, ingot_block_load(p, n));
        }
        ingot_block_flush(&sums, total);
    }
}

static __attribute__((noinline)) void reduce_s8_columns(int32_t *total, const int8_t *p, int64_t rows, int64_t row_step,
                                                        int64_t n) {
    int64_t c = 0;
    for (; c + INGOT_S8_SUMS <= n; c += INGOT_S8_SUMS) {
        columns_block(total + c, p + c, rows, row_step, INGOT_S8_SUMS);
    }
    if (c < n) {
        columns_block(total + c, p + c, rows, row_step, n - c);
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

INGOT_KERNEL_FN(reduce_s8) {
    static const reduce_s8_steps steps = {reduce_s8_columns, reduce_s8_run, INGOT_STORE_SUMS_S8};
    (void)scratch;
    return ingot_reduce_s8_run(call, begin, end, &steps);
}
