/* reduce_s8: what the files of the instruction sets need of reduce_s8_cpu.c. */
#ifndef INGOT_REDUCE_S8_H
#define INGOT_REDUCE_S8_H

#include "reduce/reduce.h"
#include "reduce/reduce_plan.h"
#include "store_s8.h"

typedef struct reduce_s8_steps {
    /* adds rows of n columns to their totals, of which there is a multiple of 32 */
    void (*columns)(int32_t *total, const int8_t *p, int64_t rows, int64_t row_step, int64_t n);
    /* the sum of n elements side by side */
    int32_t (*run)(const int8_t *p, int64_t n);
    void (*store)(const ingot_requantize *result, const ingot_arg *out, int64_t at, const int32_t *sum, int32_t offset,
                  int64_t n);
} reduce_s8_steps;

int ingot_reduce_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, const reduce_s8_steps *steps);

#endif
