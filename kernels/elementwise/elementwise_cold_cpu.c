/* Functions compiled once for all instruction sets: float64 (libm), 64-bit integers, integer division, rare ones. */
#include "elementwise_loops.h"

/* -- float64 ------------------------------------------------------------------------------------------------------- */

static double ew_mod_f64(double x, double y) {
    const double r = fmod(x, y);
    return r != 0.0 && (r < 0.0) != (y < 0.0) ? r + y : r;
}

static double ew_sigmoid_f64(double x) {
    const double e = exp(-fabs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

static double ew_softplus_f64(double x) { return (x < 0.0 ? 0.0 : x) + log1p(exp(-fabs(x))); }

static double ew_hard_sigmoid_f64(double x, double alpha, double beta) {
    const double y = alpha * x + beta;
    return y < 0.0 ? 0.0 : y > 1.0 ? 1.0 : y;
}

#define EW_1(f, e) EW_LOOP_1(f64_##f, double, double, double, e)
#define EW_2(f, e) EW_LOOP_2(f64_##f, double, double, double, e)
#define EW_1B(f, e) EW_LOOP_1(f64_##f, uint8_t, double, double, e)
#define EW_2B(f, e) EW_LOOP_2(f64_##f, uint8_t, double, double, e)
#include "functions_f64.inc"
#undef EW_1
#undef EW_2
#undef EW_1B
#undef EW_2B

/* -- integers: everything of the 64-bit types, division of all ----------------------------------------------------- */

/* x^y by squaring, wrapping; a negative exponent leaves 1 for 1, +-1 for -1, else 0. */
static uint64_t ew_power(uint64_t x, uint64_t y) {
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
static inline uint64_t u64_div(uint64_t x, uint64_t y) { return y ? x / y : 0; }
static inline uint64_t u64_rem(uint64_t x, uint64_t y) { return y ? x % y : 0; }
static inline uint64_t u64_mod(uint64_t x, uint64_t y) { return u64_rem(x, y); }
static inline uint64_t u64_pow(uint64_t x, uint64_t y) { return ew_power(x, y); }

#define EW_BITS 64
#define EW_U uint64_t

#define EW_1(f, e) EW_LOOP_1(i64_##f, int64_t, int64_t, float, e)
#define EW_2(f, e) EW_LOOP_2(i64_##f, int64_t, int64_t, float, e)
#define EW_2B(f, e) EW_LOOP_2(i64_##f, uint8_t, int64_t, float, e)
#define EW_T int64_t
#define EW_NEGATIVE(x) ((x) < 0)
#define EW_NAME(f) i64_##f
#include "functions_division.inc"
#include "functions_int.inc"
#undef EW_1
#undef EW_2
#undef EW_2B
#undef EW_T
#undef EW_NEGATIVE
#undef EW_NAME

#define EW_1(f, e) EW_LOOP_1(u64_##f, uint64_t, uint64_t, float, e)
#define EW_2(f, e) EW_LOOP_2(u64_##f, uint64_t, uint64_t, float, e)
#define EW_2B(f, e) EW_LOOP_2(u64_##f, uint8_t, uint64_t, float, e)
#define EW_T uint64_t
#define EW_NEGATIVE(x) 0
#define EW_NAME(f) u64_##f
#include "functions_division.inc"
#include "functions_int.inc"
#undef EW_1
#undef EW_2
#undef EW_2B
#undef EW_T
#undef EW_NEGATIVE
#undef EW_NAME

#define EW_2(f, e) EW_LOOP_2(i32_##f, int32_t, int32_t, float, e)
#define EW_NAME(f) i32_##f
#include "functions_division.inc"
#undef EW_2
#undef EW_NAME

/* -- rare float32 functions and conversions ------------------------------------------------------------------------ */

#define EW_1(f, e) EW_LOOP_1(f32_##f, float, float, float, e)
#include "functions_f32_rare.inc"
#undef EW_1

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

#define EW_CAST(from, to, T, R, e) EW_LOOP_1(cast_##from##_##to, R, T, float, e)
#include "functions_cast_rare.inc"
#undef EW_CAST

/* -- the table ----------------------------------------------------------------------------------------------------- */

#define EW_CAST(from, to, T, R, e) [INGOT_EW_CAST_##from##_##to * EW_COLUMNS] = cast_##from##_##to,

#define EW_1(f, e) EW_ENTRY(f)
#define EW_2(f, e) EW_ENTRY(f)
#define EW_1B(f, e) EW_ENTRY(f)
#define EW_2B(f, e) EW_ENTRY(f)

const ingot_ew_fn ingot_ew_cold[EW_SLOTS] = {
#define EW_ENTRY(f) [EW_SLOT(f, F64)] = f64_##f,
#include "functions_f64.inc"
#undef EW_ENTRY
#define EW_ENTRY(f) [EW_SLOT(f, I64)] = i64_##f,
#include "functions_division.inc"
#include "functions_int.inc"
#undef EW_ENTRY
#define EW_ENTRY(f) [EW_SLOT(f, U64)] = u64_##f,
#include "functions_division.inc"
#include "functions_int.inc"
#undef EW_ENTRY
#define EW_ENTRY(f) [EW_SLOT(f, I32)] = i32_##f,
#include "functions_division.inc"
#undef EW_ENTRY
#define EW_ENTRY(f) [EW_SLOT(f, F32)] = f32_##f,
#include "functions_f32_rare.inc"
#undef EW_ENTRY
#include "functions_cast_rare.inc"
};
