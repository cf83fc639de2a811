/* pool_s8, compiled for the instruction sets that have vectors. */
#include "block_s8.h"
#include "pool/pool_s8.h"

/* `blocks` blocks side by side; a single one may have n < 32 elements. */
INGOT_INLINE void largest_block(int8_t *out, const int8_t *p, const pool_taps *taps, int64_t n, int blocks) {
    const ingot_block_s8 least = (ingot_block_s8){0} + INT8_MIN;
    ingot_block_s8 most[4] = {least, least, least, least};
    for (int64_t a = 0; a < taps->count[0]; a++) {
        for (int64_t b = 0; b < taps->count[1]; b++) {
            const int8_t *q = p + a * taps->step[0] + b * taps->step[1];
            for (int64_t c = 0; c < taps->count[2]; c++, q += taps->step[2]) {
#pragma GCC unroll 4
                for (int k = 0; k < blocks; k++) {
                    most[k] = ingot_block_max(most[k], ingot_block_load(q + k * INGOT_S8_SUMS, n));
                }
            }
        }
    }
    memcpy(out, most, n < INGOT_S8_SUMS ? (size_t)n : (size_t)blocks * sizeof *most);
}

static void pool_s8_largest(int8_t *out, const int8_t *p, const pool_taps *taps, int64_t n) {
    int64_t c = 0;
    for (; c + 2 * INGOT_S8_SUMS <= n; c += 2 * INGOT_S8_SUMS) {
        largest_block(out + c, p + c, taps, INGOT_S8_SUMS, 2);
    }
    for (; c + INGOT_S8_SUMS <= n; c += INGOT_S8_SUMS) largest_block(out + c, p + c, taps, INGOT_S8_SUMS, 1);
    if (c < n) {
        largest_block(out + c, p + c, taps, n - c, 1);
    }
}

INGOT_INLINE void sum_block(int32_t *out, const int8_t *p, const pool_taps *taps, int64_t n) {
    ingot_block_sums sums = {0};
    int16_t part[INGOT_S8_SUMS];
    for (int64_t a = 0; a < taps->count[0]; a++) {
        for (int64_t b = 0; b < taps->count[1]; b++) {
            const int8_t *q = p + a * taps->step[0] + b * taps->step[1];
            for (int64_t c = 0; c < taps->count[2]; c++, q += taps->step[2]) {
                ingot_block_add(&sums, ingot_block_load(q, n));
            }
        }
    }
    memcpy(part, sums.half, sizeof part);
    for (int j = 0; j < INGOT_S8_SUMS; j++) out[j] = part[j];
}

static void sum_by_blocks(int32_t *out, const int8_t *p, const pool_taps *taps, int64_t n) {
    int64_t c = 0;
    for (; c + INGOT_S8_SUMS <= n; c += INGOT_S8_SUMS) sum_block(out + c, p + c, taps, INGOT_S8_SUMS);
    if (c < n) {
        sum_block(out + c, p + c, taps, n - c);
    }
}

static void pool_s8_sum(int32_t *out, const int8_t *p, const pool_taps *taps, int64_t n) {
    if (taps->count[0] * taps->count[1] * taps->count[2] <= INGOT_BLOCK_ROWS) {
        sum_by_blocks(out, p, taps, n);
    } else {
        ingot_pool_s8_sum(out, p, taps, n);
    }
}

POOL_S8_SUM_REAL(pool_s8_sum_real)

INGOT_KERNEL_FN(pool_s8) {
    static const pool_s8_steps steps = {pool_s8_largest, pool_s8_sum, INGOT_STORE_SUMS_S8, pool_s8_sum_real,
                                        INGOT_STORE_LINEAR_S8};
    (void)scratch;
    return ingot_pool_s8_run(call, begin, end, &steps);
}
