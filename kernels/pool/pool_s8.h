/* pool_s8: what the files of the instruction sets need of pool_s8_cpu.c. */
#ifndef INGOT_POOL_S8_H
#define INGOT_POOL_S8_H

#include "pool/pool_plan.h"

/* Each takes n elements side by side, which begin at p and at all other taps, and needs no more memory than that.
 * `out` has room for a multiple of 32 sums. */
typedef struct pool_s8_steps {
    void (*largest)(int8_t *out, const int8_t *p, const pool_taps *taps, int64_t n);
    void (*sum)(int32_t *out, const int8_t *p, const pool_taps *taps, int64_t n);
    void (*store)(const ingot_requantize *result, const ingot_arg *out, int64_t at, const int32_t *sum, int32_t offset,
                  int64_t n);
} pool_s8_steps;

int ingot_pool_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, const pool_s8_steps *steps);

/* The portable sum, of any number of taps. */
void ingot_pool_s8_sum(int32_t *out, const int8_t *p, const pool_taps *taps, int64_t n);

#endif
