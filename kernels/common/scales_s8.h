/* How the int8 operand and the result of an operator stand for real numbers. Kernels of CUDA read it too: how the CPU
 * stores results is in store_s8.h. */
#ifndef INGOT_SCALES_S8_H
#define INGOT_SCALES_S8_H

#include <stdint.h>

/* cffi:begin */
/* q stands for (q - zero) * scale, the scales being float32 values. Of a float32 result: scale 1, zero 0. */
typedef struct ingot_s8_scales {
    double input_scale;
    double output_scale;
    int32_t input_zero;
    int32_t output_zero;
} ingot_s8_scales;

/* How results of a model that arrives quantised are rounded: in binary32, as other runtimes do it, not in integers. */
typedef enum ingot_s8_model {
    INGOT_S8_MODEL_NONE = 0,   /* in integers */
    INGOT_S8_MODEL_LINEAR = 1, /* rne(y / scale) + zero */
    INGOT_S8_MODEL_S8 = 2,     /* rne(y / scale + zero) */
    INGOT_S8_MODEL_U8 = 3,     /* the same with the zero point of uint8, more by 128 */
} ingot_s8_model;
/* cffi:end */

#include "requantize.h"

/* Sums of so many differences of int8 numbers stay below 2^31. */
enum { INGOT_S8_TERMS_MAX = 1 << 23 };

/* The result is `multiplier` times a number of the kernel, plus the zero point. */
static inline ingot_requantize ingot_s8_result(const ingot_s8_scales *scales, float multiplier) {
    const ingot_requantize result = {-__builtin_inff(),
                                     __builtin_inff(),
                                     multiplier,
                                     (float)(-128 - scales->output_zero),
                                     (float)(127 - scales->output_zero),
                                     scales->output_zero};
    return result;
}

/* What a sum of input numbers is multiplied by so that its `count`th part becomes output numbers. */
static inline float ingot_s8_multiplier(const ingot_s8_scales *scales, double count) {
    return (float)scales->input_scale / ((float)scales->output_scale * (float)count);
}

/* Binary32 to int8 in the way of QuantizeLinear: rne(clamp(x / divisor / scale + offset, min, max)) + shift; NaN: 0. */
typedef struct ingot_linear_s8 {
    float divisor, scale, offset, min, max;
    int32_t shift;
} ingot_linear_s8;

static inline ingot_linear_s8 ingot_s8_linear(const ingot_s8_scales *scales, uint32_t model) {
    const int32_t zero = scales->output_zero, raised = model == INGOT_S8_MODEL_U8 ? 128 : 0;
    const int32_t inside = model == INGOT_S8_MODEL_LINEAR ? 0 : zero + raised, shift = zero - inside;
    const ingot_linear_s8 linear = {
        1.0f, (float)scales->output_scale, (float)inside, (float)(-128 - shift), (float)(127 - shift), shift};
    return linear;
}

#endif
