/* How the int8 operand and the result of an operator stand for real numbers, and the end of those that add up int8. */
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

#include "kernel.h"
#include "requantize.h"

/* Sums of so many differences of int8 numbers stay below 2^31. */
enum { INGOT_S8_TERMS_MAX = 1 << 23 };

enum {
    INGOT_S8_SUMS = 32,   /* columns that are summed side by side */
    INGOT_S8_GROUP = 256, /* columns that are stored at once */
};

static inline const char *ingot_s8_scales_check(const ingot_s8_scales *scales, uint8_t result) {
    const int zeros = scales->input_zero >= -128 && scales->input_zero <= 127 && scales->output_zero >= -128 &&
                      scales->output_zero <= 127;
    if (!zeros || !(scales->input_scale > 0.0) || !(scales->output_scale > 0.0)) {
        return "int8: a scale or a zero point is out of range";
    }
    return result == INGOT_I8 || result == INGOT_F32 ? NULL : "int8: the result is neither int8 nor float32";
}

/* The result is `multiplier` times a number of the kernel, plus the zero point. */
static inline ingot_requantize ingot_s8_result(const ingot_s8_scales *scales, float multiplier) {
    return (ingot_requantize){-__builtin_inff(),
                              __builtin_inff(),
                              multiplier,
                              (float)(-128 - scales->output_zero),
                              (float)(127 - scales->output_zero),
                              scales->output_zero};
}

/* What a sum of input numbers is multiplied by so that its `count`th part becomes output numbers. */
static inline float ingot_s8_multiplier(const ingot_s8_scales *scales, double count) {
    return (float)scales->input_scale / ((float)scales->output_scale * (float)count);
}

/* Compiled once for each base instruction set (store_s8_cpu*.c), not once for each file that uses it. */
#if defined(INGOT_ISA_avx2) || defined(INGOT_ISA_avxvnni) || defined(INGOT_ISA_avx512) || defined(INGOT_ISA_avx512vnni)
#define INGOT_STORE_S8 ingot_store_s8__avx2
#define INGOT_STORE_SUMS_S8 ingot_store_sums_s8__avx2
#define INGOT_STORE_LINEAR_S8 ingot_store_linear_s8__avx2
#elif defined(INGOT_ISA_neon) || defined(INGOT_ISA_neondot)
#define INGOT_STORE_S8 ingot_store_s8__neon
#define INGOT_STORE_SUMS_S8 ingot_store_sums_s8__neon
#define INGOT_STORE_LINEAR_S8 ingot_store_linear_s8__neon
#else
#define INGOT_STORE_S8 ingot_store_s8__portable
#define INGOT_STORE_SUMS_S8 ingot_store_sums_s8__portable
#define INGOT_STORE_LINEAR_S8 ingot_store_linear_s8__portable
#endif
/* n numbers x to n results y of a type, int8 or float32: multiplied, and then, for int8, rounded. y may be x. */
void INGOT_STORE_S8(const ingot_requantize *result, uint8_t dtype, void *y, const float *x, int64_t n);

/* n <= 256 numbers sum - offset, which must not overflow, to results from element `at` of an operand on. The array has
 * room for a multiple of 32 sums; what stands behind n may be anything. */
void INGOT_STORE_SUMS_S8(const ingot_requantize *result, const ingot_arg *out, int64_t at, const int32_t *sum,
                         int32_t offset, int64_t n);

/* Binary32 to int8 in the way of QuantizeLinear: rne(clamp(x / divisor / scale + offset, min, max)) + shift; NaN: 0. */
typedef struct ingot_linear_s8 {
    float divisor, scale, offset, min, max;
    int32_t shift;
} ingot_linear_s8;

static inline ingot_linear_s8 ingot_s8_linear(const ingot_s8_scales *scales, uint32_t model) {
    const int32_t zero = scales->output_zero, raised = model == INGOT_S8_MODEL_U8 ? 128 : 0;
    const int32_t inside = model == INGOT_S8_MODEL_LINEAR ? 0 : zero + raised, shift = zero - inside;
    return (ingot_linear_s8){
        1.0f, (float)scales->output_scale, (float)inside, (float)(-128 - shift), (float)(127 - shift), shift};
}

void INGOT_STORE_LINEAR_S8(const ingot_linear_s8 *linear, int8_t *y, const float *x, int64_t n);

static inline int64_t ingot_s8_result_size(uint8_t dtype) { return dtype == INGOT_F32 ? 4 : 1; }

#endif
