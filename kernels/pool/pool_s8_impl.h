/* pool_s8, compiled for the instruction sets that have vectors. */
#include "block_s8.h"
#include "pool/pool_s8.h"

#define FOR_TAPS(taps)                                                                                                 \
    for (int64_t a_ = 0; a_ < (taps)->count[0]; a_++)                                                                  \
        for (int64_t b_ = 0; b_ < (taps)->count[1]; b_++)                                                              \
            for (int64_t c_ = 0; c_ < (taps)->count[2]; c_++)

#define TAP(p, taps) ((p) + a_ * (taps)->step[0] + b_ * (taps)->step[1] + c_ * (taps)->step[2])

INGOT_INLINE void largest_block(int8_t *out, const int8_t *p, const pool_taps *taps, int64_t n) {
    ingot_block_s8 most = (ingot_block_s8){0} + INT8_MIN;
    FOR_TAPS(taps) { most = ingot_block_max(most, ingot_block_load(TAP(p, taps), n)); }
    memcpy(out, &most, n < INGOT_S8_SUMS ? (size_t)n : sizeof most);
}

INGOT_INLINE void sum_block(int32_t *out, const int8_t *p, const pool_taps *taps, int64_t n) {
    ingot_block_sums sums = {.room = 256};
    memset(out, 0, INGOT_S8_SUMS * sizeof *out);
    FOR_TAPS(taps) { ingot_block_add(&sums, ingot_block_load(TAP(p, taps), n), out); }
    ingot_block_flush(&sums, out);
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
BY_BLOCKS(pool_s8_sum, sum_block, int32_t)

INGOT_KERNEL_FN(pool_s8) {
    static const pool_s8_steps steps = {pool_s8_largest, pool_s8_sum, INGOT_STORE_SUMS_S8};
    (void)scratch;
    return ingot_pool_s8_run(call, begin, end, &steps);
}
