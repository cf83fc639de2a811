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

INGOT_INLINE ingot_half_s8 larger_half(ingot_half_s8 a, ingot_half_s8 b) {
#if defined(__AVX2__)
    return (ingot_half_s8)_mm_max_epi8((__m128i)a, (__m128i)b);
#else
    const ingot_half_s8 larger = a > b;
    return (a & larger) | (b & ~larger);
#endif
}

/* Fewer than a block, in two parts of `width` elements, 8 or 16, that may overlap: a maximum does not mind. */
INGOT_INLINE void largest_parts(int8_t *out, const int8_t *p, const pool_taps *taps, int64_t n, const size_t width) {
    const ingot_half_s8 least = (ingot_half_s8){0} + INT8_MIN;
    const int64_t second = n - (int64_t)width;
    ingot_half_s8 most[2] = {least, least}, x[2] = {least, least};
    for (int64_t a = 0; a < taps->count[0]; a++) {
        for (int64_t b = 0; b < taps->count[1]; b++) {
            const int8_t *q = p + a * taps->step[0] + b * taps->step[1];
            for (int64_t c = 0; c < taps->count[2]; c++, q += taps->step[2]) {
                memcpy(&x[0], q, width);
                memcpy(&x[1], q + second, width);
                most[0] = larger_half(most[0], x[0]);
                most[1] = larger_half(most[1], x[1]);
            }
        }
    }
    memcpy(out, &most[0], width);
    memcpy(out + second, &most[1], width);
}

static void pool_s8_largest(int8_t *out, const int8_t *p, const pool_taps *taps, int64_t n) {
    int64_t c = 0;
    for (; c + 2 * INGOT_S8_SUMS <= n; c += 2 * INGOT_S8_SUMS) {
        largest_block(out + c, p + c, taps, INGOT_S8_SUMS, 2);
    }
    for (; c + INGOT_S8_SUMS <= n; c += INGOT_S8_SUMS) largest_block(out + c, p + c, taps, INGOT_S8_SUMS, 1);
    if (n - c >= 16) {
        largest_parts(out + c, p + c, taps, n - c, 16);
    } else if (n - c >= 8) {
        largest_parts(out + c, p + c, taps, n - c, 8);
    } else if (c < n) {
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
