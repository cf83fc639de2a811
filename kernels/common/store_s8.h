/* The end of the CPU's kernels that add up int8, and what they all ask of their scales. */
#ifndef INGOT_STORE_S8_H
#define INGOT_STORE_S8_H

#include "kernel.h"
#include "scales_s8.h"

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

/* n numbers x to n results y. */
void INGOT_STORE_LINEAR_S8(const ingot_linear_s8 *linear, int8_t *y, const float *x, int64_t n);

static inline int64_t ingot_s8_result_size(uint8_t dtype) { return dtype == INGOT_F32 ? 4 : 1; }

#endif
