/* How the operands and results of INT8 convolutions and products stand for real numbers. Kernels of CUDA read it too:
 * the micro-kernels of the CPU are in gemm_s8.h. */
#ifndef INGOT_NUMBERS_S8_H
#define INGOT_NUMBERS_S8_H

#include <stdint.h>

#include "activation.h"
#include "requantize.h"

/* cffi:begin */
/* A stored number q stands for (q - zero) * scale. */
typedef struct ingot_s8_numbers {
    float inverse_scale; /* 1 / scale of the output */
    float residual_scale;
    int32_t input_zero;
    int32_t output_zero;
    int32_t residual_zero;
    int32_t output_min; /* -128 or -127 */
} ingot_s8_numbers;

/* How a step is cut up, which changes no result. 0: the kernel decides. */
typedef struct ingot_s8_tuning {
    int32_t rows;     /* of a tile, at most: 1 to 10 */
    int32_t slice;    /* panels of sixteen columns of a work unit: 1 to 64 */
    int32_t way;      /* through the operands: the kernel's own */
    int32_t reserved; /* 0 */
} ingot_s8_tuning;
/* cffi:end */

/* Whether the numbers are what a requantisation can work with, and the activation one that it can apply. */
static inline int ingot_s8_numbers_valid(const ingot_s8_numbers *n, const ingot_activation *activation) {
    return activation->kind <= INGOT_ACT_CLIP && n->input_zero >= -128 && n->input_zero <= 127 &&
           n->output_zero >= -128 && n->output_zero <= 127 && n->residual_zero >= -128 && n->residual_zero <= 127 &&
           (n->output_min == -128 || n->output_min == -127) && n->output_zero >= n->output_min &&
           n->inverse_scale > 0.0f && n->inverse_scale < __builtin_inff();
}

/* What becomes of a real number once it is clamped by the activation: none, relu or clip. */
static inline ingot_requantize ingot_s8_requantize(const ingot_s8_numbers *n, const ingot_activation *activation) {
    ingot_requantize q;
    q.lo = activation->kind == INGOT_ACT_RELU   ? 0.0f
           : activation->kind == INGOT_ACT_CLIP ? activation->alpha
                                                : -__builtin_inff();
    q.hi = activation->kind == INGOT_ACT_CLIP ? activation->beta : __builtin_inff();
    q.inverse_scale = n->inverse_scale;
    q.min = (float)(n->output_min - n->output_zero);
    q.max = (float)(127 - n->output_zero);
    q.zero = n->output_zero;
    return q;
}

#endif
