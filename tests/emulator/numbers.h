/* float16, bfloat16 and tf32 in bits, as the device converts them: a NaN is 0x7fff. */
#ifndef INGOT_EMULATOR_NUMBERS_H
#define INGOT_EMULATOR_NUMBERS_H

#include <stdint.h>
#include <string.h>

static inline uint32_t ingot_emulated_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline float ingot_emulated_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float ingot_emulated_of_f16(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ffu;
    if (exponent == 0) return ingot_emulated_float(sign | ingot_emulated_bits((float)fraction * 0x1p-24f));
    return ingot_emulated_float(sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13);
}
/* To nearest, ties to even. Below the normal numbers an addition rounds: the unit of 0.5f is that of the smallest. */
static inline uint16_t ingot_emulated_f16(float x) {
    const uint32_t bits = ingot_emulated_bits(x), a = bits & 0x7fffffffu;
    if (a > 0x7f800000u) return 0x7fff;
    uint32_t h = (a + 0xc8000fffu + (a >> 13 & 1u)) >> 13;
    if (a < 0x38800000u) h = ingot_emulated_bits(ingot_emulated_float(a) + 0.5f) - 0x3f000000u;
    if (a >= 0x47800000u) h = 0x7c00u;
    return (uint16_t)(h | (bits >> 16 & 0x8000u));
}

static inline float ingot_emulated_of_bf16(uint16_t h) { return ingot_emulated_float((uint32_t)h << 16); }
static inline uint16_t ingot_emulated_bf16(float x) {
    const uint32_t bits = ingot_emulated_bits(x);
    return x != x ? 0x7fff : (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* To nearest, ties away from zero. */
static inline uint32_t ingot_emulated_tf32(float x) {
    const uint32_t bits = ingot_emulated_bits(x), a = bits & 0x7fffffffu;
    if (a > 0x7f800000u) return 0x7fffffffu;
    return a == 0x7f800000u ? bits : (bits + 0x1000u) & 0xffffe000u;
}

#endif
