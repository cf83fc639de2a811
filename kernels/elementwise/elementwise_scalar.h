/* What the functions_*.inc files call for one element, beyond vmath.h: the same for C and for CUDA. */
#ifndef INGOT_ELEMENTWISE_SCALAR_H
#define INGOT_ELEMENTWISE_SCALAR_H

#include <math.h>
#include <stdint.h>

#include "vmath.h"

/* -- floating point ------------------------------------------------------------------------------------------------ */

static inline float ew_mod_f32(float x, float y) {
    const float r = fmodf(x, y);
    return r != 0.0f && (r < 0.0f) != (y < 0.0f) ? r + y : r;
}

static inline double ew_mod_f64(double x, double y) {
    const double r = fmod(x, y);
    return r != 0.0 && (r < 0.0) != (y < 0.0) ? r + y : r;
}

static inline double ew_sigmoid_f64(double x) {
    const double e = exp(-fabs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

static inline double ew_softplus_f64(double x) { return (x < 0.0 ? 0.0 : x) + log1p(exp(-fabs(x))); }

static inline double ew_hard_sigmoid_f64(double x, double alpha, double beta) {
    const double y = alpha * x + beta;
    return y < 0.0 ? 0.0 : y > 1.0 ? 1.0 : y;
}

/* -- integer division ---------------------------------------------------------------------------------------------- */

/* x^y by squaring, wrapping; a negative exponent leaves 1 for 1, +-1 for -1, else 0. */
static inline uint64_t ew_power(uint64_t x, uint64_t y) {
    uint64_t r = 1;
    for (; y; y >>= 1) {
        if (y & 1) r *= x;
        x *= x;
    }
    return r;
}

#define EW_SIGNED(t, T, U)                                                                                             \
    static inline T t##_div(T x, T y) { return y == 0 ? 0 : y == -1 ? (T)(0 - (U)x) : x / y; }                         \
    static inline T t##_rem(T x, T y) { return y == 0 || y == -1 ? 0 : x % y; }                                        \
    static inline T t##_mod(T x, T y) {                                                                                \
        const T r = t##_rem(x, y);                                                                                     \
        return r != 0 && (r < 0) != (y < 0) ? r + y : r;                                                               \
    }                                                                                                                  \
    static inline T t##_pow(T x, T y) {                                                                                \
        if (y >= 0) return (T)ew_power((uint64_t)x, (uint64_t)y);                                                      \
        return x == 1 ? 1 : x == -1 ? (y & 1 ? (T)-1 : (T)1) : 0;                                                      \
    }
EW_SIGNED(i32, int32_t, uint32_t)
EW_SIGNED(i64, int64_t, uint64_t)
#undef EW_SIGNED
static inline uint64_t u64_div(uint64_t x, uint64_t y) { return y ? x / y : 0; }
static inline uint64_t u64_rem(uint64_t x, uint64_t y) { return y ? x % y : 0; }
static inline uint64_t u64_mod(uint64_t x, uint64_t y) { return u64_rem(x, y); }
static inline uint64_t u64_pow(uint64_t x, uint64_t y) { return ew_power(x, y); }

/* -- conversions --------------------------------------------------------------------------------------------------- */

static inline int32_t ew_i32_of_f32(float x) {
    float c = x > 2147483520.0f ? 2147483520.0f : x;
    c = c < -2147483648.0f ? -2147483648.0f : c;
    c = x != x ? 0.0f : c;
    return x > 2147483520.0f ? INT32_MAX : (int32_t)c;
}

static inline int32_t ew_i32_of_f64(double x) {
    double c = x > 2147483647.0 ? 2147483647.0 : x;
    c = c < -2147483648.0 ? -2147483648.0 : c;
    return (int32_t)(x != x ? 0.0 : c);
}

static inline int64_t ew_i64_of_f64(double x) {
    double c = x > 9223372036854774784.0 ? 9223372036854774784.0 : x;
    c = c < -9223372036854775808.0 ? -9223372036854775808.0 : c;
    c = x != x ? 0.0 : c;
    return x > 9223372036854774784.0 ? INT64_MAX : (int64_t)c;
}

/* Negative numbers wrap, as the processors' signed conversion does. */
static inline uint64_t ew_u64_of_f64(double x) {
    const double half = 9223372036854775808.0;
    const int high = x >= half;
    const uint64_t u = (uint64_t)ew_i64_of_f64(high ? x - half : x);
    return x >= 2.0 * half ? UINT64_MAX : u + (high ? (uint64_t)1 << 63 : 0);
}

/* Rounded to odd, so that a second rounding to fewer bits gives what one rounding would have. */
static inline float ew_odd_f32_of_f64(double x) {
    const float f = (float)x;
    uint32_t u = ingot_bits_f32(f);
    if ((double)f == x || x != x) return f;
    if (fabs((double)f) > fabs(x)) u--;
    return ingot_float_of_bits(u | 1u);
}

/* Rounds to even, adds the zero point, saturates. */
static inline int8_t ew_s8_of_f32(float x, float zero) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to whole numbers */
    float y = x == x ? x : 0.0f;
    y = y < -128.0f - zero ? -128.0f - zero : y;
    y = y > 127.0f - zero ? 127.0f - zero : y;
    return (int8_t)(int32_t)((y + magic) - magic + zero);
}

#endif
