/* pool_s8, compiled for the instruction sets that have vectors. */
#include "block_s8.h"
#include "pool/pool_s8.h"

INGOT_INLINE void largest_block(int8_t *out, const int8_t *p, const pool_taps *taps, int64_t n) {
    ingot_block_s8 most = (ingot_block_s8){0} + INT8_MIN;
    for (int64_t a = 0; a < taps->count[0]; a++) {
        for (int64_t b = 0; b < taps->count[1]; b++) {
            const int8_t *q = p + a * taps->step[0] + b * taps->step[1];
            for (int64_t c = 0; c < taps->count[2]; c++, q += taps->step[2]) {
                most = ingot_block_max(most, ingot_block_load(q, n));
            }
        }
    }
    memcpy(out, &most, n < INGOT_S8_SUMS ? (size_t)n : sizeof most);
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

/* The last block overlaps the one before, if there is one. */
#define BY_BLOCKS(name, block, T)                                                                                      \
    static void name(T *out, const int8_t *p, const pool_taps *taps, int64_t n) {                                      \
        if (n < INGOT_S8_SUMS) {                                                                                       \
            block(out, p, taps, n);                                                                                    \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t c = 0; c < n; c += INGOT_S8_SUMS) {                                                               \
            c = c + INGOT_S8_SUMS > n ? n - INGOT_S8_SUMS : c;                                                         \
            block(out + c, p + c, taps, INGOT_S8_SUMS);                                                                \
        }                                                                                                              \
    }
BY_BLOCKS(pool_s8_largest, largest_block, int8_t)
BY_BLOCKS(sum_by_blocks, sum_block, int32_t)

static void pool_s8_sum(int32_t *out, const int8_t *p, const pool_taps *taps, int64_t n) {
    if (taps->count[0] * taps->count[1] * taps->count[2] <= INGOT_BLOCK_ROWS) {
        sum_by_blocks(out, p, taps, n);
    } else {
        ingot_pool_s8_sum(out, p, taps, n);
    }
}

INGOT_KERNEL_FN(pool_s8) {
    static const pool_s8_steps steps = {pool_s8_largest, pool_s8_sum, INGOT_STORE_SUMS_S8};
    (void)scratch;
    return ingot_pool_s8_run(call, begin, end, &steps);
}
