/* softmax_s8: what the files of the instruction sets need of softmax_s8_cpu.c. */
#ifndef INGOT_SOFTMAX_S8_H
#define INGOT_SOFTMAX_S8_H

#include "softmax/softmax_shape.h"
#include "store_s8.h"

typedef struct softmax_s8_steps {
    /* the largest of n elements side by side */
    int8_t (*largest)(const int8_t *x, int64_t n);
    /* n results of a type: e / total; there is a multiple of 32 e */
    void (*divide)(const ingot_requantize *result, uint8_t dtype, void *y, const int32_t *e, float total, int64_t n);
} softmax_s8_steps;

int ingot_softmax_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, const softmax_s8_steps *steps);

#endif
