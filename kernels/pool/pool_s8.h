/* pool_s8: what the files of the instruction sets need of pool_s8_cpu.c. */
#ifndef INGOT_POOL_S8_H
#define INGOT_POOL_S8_H

#include "pool/pool_plan.h"
#include "store_s8.h"

/* Each takes n elements side by side, which begin at p and at all other taps, and needs no more memory than that.
 * `out` has room for a multiple of 32 sums. */
typedef struct pool_s8_steps {
    void (*largest)(int8_t *out, const int8_t *p, const pool_taps *taps, int64_t n);
    void (*sum)(int32_t *out, const int8_t *p, const pool_taps *taps, int64_t n);
    void (*store)(const ingot_requantize *result, const ingot_arg *out, int64_t at, const int32_t *sum, int32_t offset,
                  int64_t n);
    /* the same in binary32: sums of (q - zero) * scale, each rounded, from the first tap to the last */
    void (*sum_real)(float *out, const int8_t *p, const pool_taps *taps, int64_t n, int32_t zero, float scale);
    void (*store_real)(const ingot_linear_s8 *linear, int8_t *y, const float *x, int64_t n);
} pool_s8_steps;

/* `sum_real`, compiled for each instruction set. */
#define POOL_S8_SUM_REAL(name)                                                                                         \
    static void name(float *out, const int8_t *p, const pool_taps *taps, int64_t n, int32_t zero, float scale) {       \
        for (int64_t j = 0; j < n; j++) out[j] = 0.0f;                                                                 \
        for (int64_t a = 0; a < taps->count[0]; a++) {                                                                 \
            for (int64_t b = 0; b < taps->count[1]; b++) {                                                             \
                const int8_t *q = p + a * taps->step[0] + b * taps->step[1];                                           \
                for (int64_t c = 0; c < taps->count[2]; c++, q += taps->step[2]) {                                     \
                    for (int64_t j = 0; j < n; j++) out[j] += (float)(q[j] - zero) * scale;                            \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

int ingot_pool_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, const pool_s8_steps *steps);

/* The portable sum, of any number of taps. */
void ingot_pool_s8_sum(int32_t *out, const int8_t *p, const pool_taps *taps, int64_t n);

#endif
