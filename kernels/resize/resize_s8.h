/* resize_s8: what the files of the instruction sets need of resize_s8_cpu.c. */
#ifndef INGOT_RESIZE_S8_H
#define INGOT_RESIZE_S8_H

#include "resize/resize.h"
#include "resize/resize_state.h"
#include "store_s8.h"

/* All but the last work on whole blocks of 32: where they write, and where int32 is read, there is room for that. */
typedef struct resize_s8_steps {
    /* to = the weighted sum of a few pieces of n elements */
    void (*mix)(int32_t *to, const int8_t *from, const resize_tap *tap, int64_t taps, int64_t n);
    /* to = left and right sums, weighted */
    void (*blend)(int32_t *to, const int32_t *left, const int32_t *right, const int32_t weights[2], int64_t n);
    void (*store)(const ingot_requantize *result, const ingot_arg *out, int64_t at, const int32_t *sum, int32_t offset,
                  int64_t n);
    /* The same in binary32: to = (from - zero) * scale; to = the weighted sum of four; no more than n elements. */
    void (*dequantise)(float *to, const int8_t *from, int64_t n, int32_t zero, float scale);
    void (*corners)(float *to, const float *const corner[4], const float weight[4], int64_t n);
    void (*store_real)(const ingot_linear_s8 *linear, int8_t *y, const float *x, int64_t n);
} resize_s8_steps;

int ingot_resize_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                        const resize_s8_steps *steps);

#endif
