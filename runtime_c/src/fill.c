/* Generated data: constants of tuning packs and inputs of self-tests. */
#include <string.h>

#include "internal.h"

/* SplitMix64 (Steele, Lea, Flood 2014): a value for each element, whatever the order. */
static uint64_t splitmix64(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

void ingot_fill_random(void *memory, uint32_t dtype, uint64_t bytes, uint64_t seed) {
    uint8_t *data = memory;
    uint64_t width = ingot_dtype_bits(dtype) / 8;
    if (width == 0) width = 1; /* packed types: bytes of two elements */
    for (uint64_t i = 0; i < bytes / width; i++) {
        uint64_t bits = splitmix64(seed + i);
        double unit = (double)(int64_t)(bits >> 11) * 0x1p-52 - 1.0; /* [-1, 1) */
        if (dtype == INGOT_F32) {
            float value = (float)unit;
            memcpy(data + i * width, &value, 4);
        } else if (dtype == INGOT_F64) {
            memcpy(data + i * width, &unit, 8);
        } else if (dtype == INGOT_F16 || dtype == INGOT_BF16) { /* an exponent below that of 2: finite, in (-2, 2) */
            uint16_t value = (uint16_t)(bits & 0xbfff);
            memcpy(data + i * width, &value, 2);
        } else if (dtype == INGOT_BOOL) {
            data[i] = (uint8_t)(bits & 1);
        } else {
            memcpy(data + i * width, &bits, width);
        }
    }
}

/* The exponent of [0.5, 1) over random bits: sign and mantissa stay. */
void ingot_fill_moderate(void *memory, uint32_t dtype, uint64_t bytes, uint64_t seed) {
    static const struct {
        uint64_t exponent, half; /* the bits of the exponent, and what they are for 0.5 */
    } floats[INGOT_DTYPE_COUNT] = {
        [INGOT_F32] = {0x7f800000, 0x3f000000},
        [INGOT_F64] = {0x7ff0000000000000, 0x3fe0000000000000},
        [INGOT_F16] = {0x7c00, 0x3800},
        [INGOT_BF16] = {0x7f80, 0x3f00},
    };
    const uint64_t width = ingot_dtype_bits(dtype) / 8, exponent = floats[dtype].exponent, half = floats[dtype].half;
    if (!half) {
        ingot_fill_random(memory, dtype, bytes, seed);
        return;
    }
    for (uint64_t i = 0; i < bytes / width; i++) {
        uint64_t bits = (splitmix64(seed + i) & ~exponent) | half;
        memcpy((uint8_t *)memory + i * width, &bits, width); /* little-endian: the low bytes */
    }
}
