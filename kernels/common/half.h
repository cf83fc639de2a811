/* float16 and bfloat16 in software: straight-line code that compilers vectorise, the same bits everywhere. */
#ifndef INGOT_HALF_H
#define INGOT_HALF_H

#include "vmath.h"

/* Exact. The method is F. Giesen's: shift the fields into place and let an addition do the exponent. */
static inline float ingot_f32_of_f16(uint16_t h) {
    const uint32_t magnitude = (uint32_t)(h & 0x7fffu) << 13;
    const uint32_t exponent = magnitude & 0x0f800000u;
    const uint32_t normal = magnitude + 0x38000000u;
    const float denormal = ingot_float_of_bits(magnitude + 0x38800000u) - 6.103515625e-5f;
    uint32_t u = exponent == 0x0f800000u ? normal + 0x38000000u : normal; /* infinity, NaN */
    u = exponent == 0 ? ingot_bits_f32(denormal) : u;
    return ingot_float_of_bits(u | (uint32_t)(h & 0x8000u) << 16);
}

/* Round to nearest, ties to even; NaN becomes the quiet NaN of its sign. */
static inline uint16_t ingot_f16_of_f32(float x) {
    const uint32_t bits = ingot_bits_f32(x);
    const uint32_t sign = bits & 0x80000000u;
    const uint32_t a = bits ^ sign;
    const uint32_t normal = (a + 0xc8000fffu + ((a >> 13) & 1u)) >> 13;
    const uint32_t denormal = ingot_bits_f32(ingot_float_of_bits(a) + 0.5f) - 0x3f000000u;
    uint32_t h = a < 0x38800000u ? denormal : normal;
    h = a >= 0x47800000u ? 0x7c00u : h;
    h = a > 0x7f800000u ? 0x7e00u : h;
    return (uint16_t)(h | sign >> 16);
}

/* Round to nearest, ties to even; NaN becomes the quiet NaN of its sign. */
static inline uint16_t ingot_bf16_of_f32(float x) {
    const uint32_t u = ingot_bits_f32(x);
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    return (uint16_t)(x != x ? (u >> 16 & 0x8000u) | 0x7fc0u : rounded);
}

#endif
