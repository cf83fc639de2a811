/* pool_s8: what the files of the instruction sets need of pool_s8_cpu.c. */
#ifndef INGOT_POOL_S8_H
#define INGOT_POOL_S8_H

#include "pool/pool_plan.h"

typedef struct pool_s8_window {
    const int8_t *in; /* the first tap */
    pool_taps taps;
    const ingot_requantize *average; /* NULL: the maximum */
    int32_t offset;                  /* the zero points in the sum */
} pool_s8_window;

/* All channels of one pixel, to element `at` of the output. */
typedef void (*pool_s8_fn)(const pool_s8_window *window, const ingot_arg *out, int64_t at);

int ingot_pool_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, pool_s8_fn pixel);

#endif
