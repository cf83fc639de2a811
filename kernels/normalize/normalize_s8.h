/* normalize_s8: what the files of the instruction sets need of normalize_s8_cpu.c. */
#ifndef INGOT_NORMALIZE_S8_H
#define INGOT_NORMALIZE_S8_H

#include "normalize/normalize_shape.h"
#include "store_s8.h"

/* Of numbers q - zero. */
typedef struct normalize_s8_moments {
    int64_t sum, squares;
} normalize_s8_moments;

/* What each of n <= 256 columns is made of: (count * (q - zero) - sum) * inverse, times scale, plus bias. Sums and
 * inverses are `step` apart: 1, or 0 where there is one for all. */
typedef struct normalize_s8_columns {
    int32_t count, zero;
    int64_t step;
    const int32_t *sum;
    const float *inverse, *scale, *bias;
} normalize_s8_columns;

typedef struct normalize_s8_steps {
    normalize_s8_moments (*moments)(const int8_t *x, int64_t n, int32_t zero);
    void (*apply)(const ingot_requantize *result, uint8_t dtype, void *y, const int8_t *x, int64_t n,
                  const normalize_s8_columns *columns);
} normalize_s8_steps;

int ingot_normalize_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const normalize_s8_steps *steps);

#endif
