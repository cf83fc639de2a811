/* Branch-free float32 mathematics that compilers turn into vector code.
 *
 * Every function is straight-line code over one element: put it in a plain loop and gcc or clang vectorise the loop
 * for whatever instruction set the file is compiled for. There is no libm here, so the portable kernels, which
 * also fold constants at build time, give the same bits on every machine. Assumes round-to-nearest (run sets it),
 * -ffp-contract=off, -fno-math-errno and -fno-trapping-math; denormals, infinities and NaN are right, but
 * that what is an exponential of something below 0 is 0 instead of denormal (sigmoid, silu, swish).
 *
 * Errors, measured by tests/kernels/test_vmath.py against float64: exp, log, expm1, log1p, sin, cos <= 2 ulp; the
 * others <= 4 ulp. Polynomials for exp, log, sin, cos, asin, atan and sinh are those of Cephes (S. Moshier, single
 * precision), erf follows N. Juffa. */
#ifndef INGOT_VMATH_H
#define INGOT_VMATH_H

#include <stdint.h>
#include <string.h>

/* The portable build never contracts, even where the baseline has the instruction: see "same bits" above. */
#if !defined(INGOT_ISA_portable) && (defined(__FMA__) || defined(__ARM_FEATURE_FMA))
#define INGOT_FMAF(a, b, c) __builtin_fmaf(a, b, c)
#define INGOT_FMA(a, b, c) __builtin_fma(a, b, c)
#else
#define INGOT_FMAF(a, b, c) ((a) * (b) + (c))
#define INGOT_FMA(a, b, c) ((a) * (b) + (c))
#endif

#define INGOT_INF_F32 __builtin_inff()
#define INGOT_NAN_F32 __builtin_nanf("")

/* -- bits ---------------------------------------------------------------------------------------------------------- */

static inline uint32_t ingot_bits_f32(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float ingot_float_of_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline uint64_t ingot_bits_f64(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double ingot_double_of_bits(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline float ingot_abs_f32(float x) { return ingot_float_of_bits(ingot_bits_f32(x) & 0x7fffffffu); }

/* |magnitude| with the sign of `sign`. */
static inline float ingot_copysign_f32(float magnitude, float sign) {
    return ingot_float_of_bits((ingot_bits_f32(magnitude) & 0x7fffffffu) | (ingot_bits_f32(sign) & 0x80000000u));
}

/* `condition ? yes : no` in bits, for places where the compiler would make a branch of it and keep the loop scalar. */
static inline float ingot_select_f32(int condition, float yes, float no) {
    const uint32_t mask = 0u - (uint32_t)condition;
    return ingot_float_of_bits((ingot_bits_f32(yes) & mask) | (ingot_bits_f32(no) & ~mask));
}

/* Adding 1.5 * 2^23 leaves the nearest integer (ties to even) in the low mantissa bits, for |x| < 2^22: a rounding
 * and a conversion in one add on every instruction set. */
#define INGOT_ROUND_MAGIC_F32 12582912.0f

static inline float ingot_sqrt_f32(float x) { return __builtin_sqrtf(x); }

/* To the nearest integer, ties to even; the sign of zero is kept. */
static inline float ingot_round_f32(float x) {
    const float a = ingot_abs_f32(x);
    return a < 8388608.0f ? ingot_copysign_f32((a + 8388608.0f) - 8388608.0f, x) : x;
}

static inline float ingot_floor_f32(float x) {
    const float r = ingot_round_f32(x);
    return r > x ? r - 1.0f : r;
}

static inline float ingot_ceil_f32(float x) {
    const float r = ingot_round_f32(x);
    return r < x ? ingot_copysign_f32(r + 1.0f, x) : r;
}

/* -- exp, log ------------------------------------------------------------------------------------------------------ */

/* exp(r) - 1 - r for |r| <= ln(2)/2, divided by r^2. */
static inline float ingot_exp_poly_f32(float r) {
    float p = INGOT_FMAF(1.9875691500e-4f, r, 1.3981999507e-3f);
    p = INGOT_FMAF(p, r, 8.3334519073e-3f);
    p = INGOT_FMAF(p, r, 4.1665795894e-2f);
    p = INGOT_FMAF(p, r, 1.6666665459e-1f);
    return INGOT_FMAF(p, r, 5.0000001201e-1f);
}

/* exp(x) * 2^shift for a small shift; sinh and cosh use it to stay clear of overflow. */
static inline float ingot_exp_scaled_f32(float x, int32_t shift) {
    x = x > 90.0f ? 90.0f : x; /* NaN passes */
    x = x < -105.0f ? -105.0f : x;
    const float shifted = INGOT_FMAF(x, 1.44269504088896341f, INGOT_ROUND_MAGIC_F32);
    const float n = shifted - INGOT_ROUND_MAGIC_F32;
    float r = INGOT_FMAF(n, -0.693359375f, x); /* exact: the constant has 10 bits */
    r = INGOT_FMAF(n, 2.12194440e-4f, r);
    const float y = INGOT_FMAF(ingot_exp_poly_f32(r), r * r, r) + 1.0f;
    /* 2^n in two halves: the product may be denormal or overflow although its factors do not. */
    const int32_t k = (int32_t)(ingot_bits_f32(shifted) - 0x4b400000u) + shift;
    const int32_t half = k >> 1;
    const float a = ingot_float_of_bits((uint32_t)(half + 127) << 23);
    const float b = ingot_float_of_bits((uint32_t)(k - half + 127) << 23);
    return y * a * b;
}

static inline float ingot_exp_f32(float x) { return ingot_exp_scaled_f32(x, 0); }

/* exp(x) for x <= 0 (softmax and friends): results below 2^-126 become 0; cheaper than ingot_exp_f32. */
static inline float ingot_exp_nonpositive_f32(float x) {
    const float clamped = x < -87.33654f ? -87.33654f : x;
    const float shifted = INGOT_FMAF(clamped, 1.44269504088896341f, INGOT_ROUND_MAGIC_F32);
    const float n = shifted - INGOT_ROUND_MAGIC_F32;
    float r = INGOT_FMAF(n, -0.693359375f, clamped);
    r = INGOT_FMAF(n, 2.12194440e-4f, r);
    const float y = INGOT_FMAF(ingot_exp_poly_f32(r), r * r, r) + 1.0f;
    const float power = ingot_float_of_bits((ingot_bits_f32(shifted) + (127u - 0x4b400000u)) << 23);
    return x < -87.33654f ? 0.0f : y * power;
}

/* exp(x) - 1 without cancellation near 0. */
static inline float ingot_expm1_f32(float x) {
    const float high = x > 89.0f ? 89.0f : x;
    const float clamped = high < -20.0f ? -20.0f : high;
    const float shifted = INGOT_FMAF(clamped, 1.44269504088896341f, INGOT_ROUND_MAGIC_F32);
    const float n = shifted - INGOT_ROUND_MAGIC_F32;
    float r = INGOT_FMAF(n, -0.693359375f, clamped);
    r = INGOT_FMAF(n, 2.12194440e-4f, r);
    const float m = INGOT_FMAF(ingot_exp_poly_f32(r), r * r, r); /* exp(r) - 1 */
    /* (m + 1) 2^n - 1 at half scale, so that 2^128 needs no exponent of its own */
    const float power = ingot_float_of_bits((ingot_bits_f32(shifted) + (126u - 0x4b400000u)) << 23);
    const float y = (INGOT_FMAF(m, power, power - 0.5f)) * 2.0f;
    return x == 0.0f ? x : y;
}

/* exp(x) - 1 for x <= 0, cheaper than ingot_expm1_f32: what rounding the product with ln(2) costs of a power below one
 * is nothing beside the one that is taken off. */
static inline float ingot_expm1_nonpositive_f32(float x) {
    const float clamped = x < -20.0f ? -20.0f : x;
    const float shifted = INGOT_FMAF(clamped, 1.44269504088896341f, INGOT_ROUND_MAGIC_F32);
    const float r = INGOT_FMAF(shifted - INGOT_ROUND_MAGIC_F32, -0.693147180559945f, clamped);
    const float m = INGOT_FMAF(ingot_exp_poly_f32(r), r * r, r); /* exp(r) - 1 */
    const float power = ingot_float_of_bits((ingot_bits_f32(shifted) + (127u - 0x4b400000u)) << 23);
    return INGOT_FMAF(m, power, power - 1.0f);
}

/* log of the mantissa with its exponent for positive finite x: log(x) = result + correction. */
static inline float ingot_log_finite_f32(float x, float correction) {
    const int denormal = x < 1.17549435e-38f;
    const uint32_t u = ingot_bits_f32(denormal ? x * 8388608.0f : x);
    /* the mantissa in [sqrt(1/2), sqrt(2)) */
    const uint32_t shifted = u - 0x3f3504f3u;
    const int32_t exponent = (int32_t)shifted >> 23;
    const float e = (float)(exponent - (denormal ? 23 : 0));
    const float f = ingot_float_of_bits((shifted & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    const float z = f * f;
    float p = INGOT_FMAF(7.0376836292e-2f, f, -1.1514610310e-1f);
    p = INGOT_FMAF(p, f, 1.1676998740e-1f);
    p = INGOT_FMAF(p, f, -1.2420140846e-1f);
    p = INGOT_FMAF(p, f, 1.4249322787e-1f);
    p = INGOT_FMAF(p, f, -1.6668057665e-1f);
    p = INGOT_FMAF(p, f, 2.0000714765e-1f);
    p = INGOT_FMAF(p, f, -2.4999993993e-1f);
    p = INGOT_FMAF(p, f, 3.3333331174e-1f);
    float y = INGOT_FMAF(p * f, z, INGOT_FMAF(e, -2.12194440e-4f, correction));
    y = INGOT_FMAF(z, -0.5f, y);
    return INGOT_FMAF(e, 0.693359375f, f + y);
}

static inline float ingot_log_f32(float x) {
    float y = ingot_log_finite_f32(x, 0.0f);
    y = x == INGOT_INF_F32 ? x : y;
    y = x == 0.0f ? -INGOT_INF_F32 : y;
    return x < 0.0f || x != x ? INGOT_NAN_F32 : y;
}

/* log(1 + x) without cancellation near 0. */
static inline float ingot_log1p_f32(float x) {
    const float u = 1.0f + x;
    const float lost = x > 1.0f ? 1.0f - (u - x) : x - (u - 1.0f); /* what the sum rounded away */
    float y = ingot_log_finite_f32(u, lost / u);
    y = x == INGOT_INF_F32 ? x : y;
    y = u == 0.0f ? -INGOT_INF_F32 : y;
    y = ingot_abs_f32(x) < 2.9802322e-8f ? x : y;
    return u < 0.0f || x != x ? INGOT_NAN_F32 : y;
}

/* -- activations --------------------------------------------------------------------------------------------------- */

/* 1 + exp(-x) for x >= -87.33654; below, any number. The polynomial is shorter than that of exp: networks with silu
 * spend a third of their time here. */
static inline float ingot_one_and_exp_negative_f32(float x) {
    const float high = x > 87.0f ? 87.0f : x; /* NaN passes */
    const float shifted = INGOT_FMAF(high, -1.44269504088896341f, INGOT_ROUND_MAGIC_F32);
    const float n = shifted - INGOT_ROUND_MAGIC_F32;
    float r = INGOT_FMAF(n, -0.693359375f, -high); /* exact: the constant has 10 bits */
    r = INGOT_FMAF(n, 2.12194440e-4f, r);
    float p = INGOT_FMAF(1.38436072e-3f, r, 8.37419555e-3f);
    p = INGOT_FMAF(p, r, 4.16680053e-2f);
    p = INGOT_FMAF(p, r, 1.66664302e-1f);
    p = INGOT_FMAF(p, r, 4.9999994e-1f);
    p = INGOT_FMAF(p, r, 1.0f);
    p = INGOT_FMAF(p, r, 1.0f);
    const float power = ingot_float_of_bits((ingot_bits_f32(shifted) + (127u - 0x4b400000u)) << 23);
    return INGOT_FMAF(p, power, 1.0f);
}

/* x / (1 + exp(-y)); 0 where the exponential of y is below 2^-126. */
static inline float ingot_logistic_f32(float x, float y) {
    const float result = x / ingot_one_and_exp_negative_f32(y);
    return y < -87.33654f ? 0.0f : result;
}

static inline float ingot_sigmoid_f32(float x) { return ingot_logistic_f32(1.0f, x); }

static inline float ingot_tanh_f32(float x) {
    const float a = ingot_abs_f32(x);
    const float z = a * a;
    float p = INGOT_FMAF(-5.70498872745e-3f, z, 2.06390887954e-2f);
    p = INGOT_FMAF(p, z, -5.37397155531e-2f);
    p = INGOT_FMAF(p, z, 1.33314422036e-1f);
    p = INGOT_FMAF(p, z, -3.33332819422e-1f);
    const float small = INGOT_FMAF(p * z, a, a);
    const float large = 1.0f - 2.0f / (ingot_exp_f32(a + a) + 1.0f);
    return ingot_copysign_f32(a < 0.625f ? small : large, x);
}

static inline float ingot_erf_f32(float x) {
    const float a = ingot_abs_f32(x);
    const float s = x * x;
    float p = INGOT_FMAF(-1.72853470e-5f, a, 3.83197126e-4f);
    p = INGOT_FMAF(p, s, INGOT_FMAF(-3.88396438e-3f, a, 2.42546219e-2f));
    p = INGOT_FMAF(p, a, -1.06777877e-1f);
    p = INGOT_FMAF(p, a, -6.34846687e-1f);
    p = INGOT_FMAF(p, a, -1.28717512e-1f);
    p = INGOT_FMAF(p, a, -a);
    const float large = 1.0f - ingot_exp_f32(a > 4.0f ? -20.0f : p);
    float q = INGOT_FMAF(-5.96761703e-4f, s, 4.99119423e-3f);
    q = INGOT_FMAF(q, s, -2.67681349e-2f);
    q = INGOT_FMAF(q, s, 1.12819925e-1f);
    q = INGOT_FMAF(q, s, -3.76125336e-1f);
    q = INGOT_FMAF(q, s, 1.28379166e-1f);
    const float small = INGOT_FMAF(q, x, x);
    return a > 0.927734375f ? ingot_copysign_f32(large, x) : small;
}

static inline float ingot_softplus_f32(float x) {
    return (x < 0.0f ? 0.0f : x) + ingot_log1p_f32(ingot_exp_f32(-ingot_abs_f32(x)));
}

static inline float ingot_relu_f32(float x) { return x < 0.0f ? 0.0f : x; } /* NaN passes */

static inline float ingot_clip_f32(float x, float lo, float hi) {
    x = x < lo ? lo : x;
    return x > hi ? hi : x;
}

static inline float ingot_leaky_relu_f32(float x, float alpha) { return x < 0.0f ? alpha * x : x; }
static inline float ingot_thresholded_relu_f32(float x, float alpha) { return x > alpha || x != x ? x : 0.0f; }
static inline float ingot_silu_f32(float x) { return ingot_logistic_f32(x, x); }
static inline float ingot_swish_f32(float x, float alpha) { return ingot_logistic_f32(x, alpha * x); }
static inline float ingot_elu_f32(float x, float alpha) {
    return x < 0.0f ? alpha * ingot_expm1_nonpositive_f32(x) : x;
}
static inline float ingot_celu_f32(float x, float alpha) { return x < 0.0f ? alpha * ingot_expm1_f32(x / alpha) : x; }
static inline float ingot_softsign_f32(float x) { return x / (1.0f + ingot_abs_f32(x)); }

static inline float ingot_selu_f32(float x, float alpha, float gamma) {
    return gamma * (x < 0.0f ? alpha * ingot_expm1_nonpositive_f32(x) : x);
}

static inline float ingot_hard_sigmoid_f32(float x, float alpha, float beta) {
    return ingot_clip_f32(alpha * x + beta, 0.0f, 1.0f);
}

static inline float ingot_hard_swish_f32(float x) { return x * ingot_hard_sigmoid_f32(x, 1.0f / 6.0f, 0.5f); }

static inline float ingot_gelu_f32(float x) { return 0.5f * x * (1.0f + ingot_erf_f32(x * 0.70710678118654752f)); }

static inline float ingot_gelu_tanh_f32(float x) {
    const float inner = 0.79788456080286536f * (x + 0.044715f * (x * x * x));
    return 0.5f * x * (1.0f + ingot_tanh_f32(inner));
}

/* x tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2). */
static inline float ingot_mish_f32(float x) {
    const float e = ingot_exp_f32(x > 20.0f ? 20.0f : x);
    const float n = e * (e + 2.0f);
    return x * (n / (n + 2.0f));
}

/* -- trigonometry -------------------------------------------------------------------------------------------------- */

/* Beyond this magnitude the argument reduction below runs out of bits; callers give such elements to libm. */
#define INGOT_TRIG_LIMIT_F32 1.0e6f

/* x = quadrant * pi/2 + r with |r| <= pi/4, reduced in double. Infinity gives NaN. */
static inline float ingot_quadrant_f32(float x, uint32_t *quadrant) {
    const double magic = 6755399441055744.0; /* 1.5 * 2^52 */
    const double d = (double)x;
    const double shifted = d * 0.63661977236758134308 + magic;
    const double n = shifted - magic;
    *quadrant = (uint32_t)ingot_bits_f64(shifted);
    return (float)((d - n * 1.57079632673412561417) - n * 6.07710050650619224932e-11);
}

static inline float ingot_sin_poly_f32(float r) {
    const float z = r * r;
    float p = INGOT_FMAF(-1.9515295891e-4f, z, 8.3321608736e-3f);
    p = INGOT_FMAF(p, z, -1.6666654611e-1f);
    return ingot_copysign_f32(INGOT_FMAF(p * z, r, r), r); /* -0 + 0 is 0 */
}

static inline float ingot_cos_poly_f32(float r) {
    const float z = r * r;
    float p = INGOT_FMAF(2.443315711809948e-5f, z, -1.388731625493765e-3f);
    p = INGOT_FMAF(p, z, 4.166664568298827e-2f);
    return INGOT_FMAF(p * z, z, INGOT_FMAF(z, -0.5f, 1.0f));
}

static inline float ingot_sin_f32(float x) {
    uint32_t quadrant;
    const float r = ingot_quadrant_f32(x, &quadrant);
    const float y = quadrant & 1 ? ingot_cos_poly_f32(r) : ingot_sin_poly_f32(r);
    return ingot_float_of_bits(ingot_bits_f32(y) ^ ((quadrant & 2) << 30));
}

static inline float ingot_cos_f32(float x) {
    uint32_t quadrant;
    const float r = ingot_quadrant_f32(x, &quadrant);
    const float y = quadrant & 1 ? ingot_sin_poly_f32(r) : ingot_cos_poly_f32(r);
    return ingot_float_of_bits(ingot_bits_f32(y) ^ (((quadrant + 1) & 2) << 30));
}

static inline float ingot_tan_f32(float x) {
    uint32_t quadrant;
    const float r = ingot_quadrant_f32(x, &quadrant);
    const float s = ingot_sin_poly_f32(r), c = ingot_cos_poly_f32(r);
    return (quadrant & 1 ? -c : s) / (quadrant & 1 ? s : c);
}

/* asin for 0 <= a <= 0.5 given a and z = a^2. */
static inline float ingot_asin_poly_f32(float a, float z) {
    float p = INGOT_FMAF(4.2163199048e-2f, z, 2.4181311049e-2f);
    p = INGOT_FMAF(p, z, 4.5470025998e-2f);
    p = INGOT_FMAF(p, z, 7.4953002686e-2f);
    p = INGOT_FMAF(p, z, 1.6666752422e-1f);
    return INGOT_FMAF(p * z, a, a);
}

static inline float ingot_asin_f32(float x) {
    const float a = ingot_abs_f32(x);
    const int big = a > 0.5f;
    const float z = big ? 0.5f * (1.0f - a) : a * a;
    const float p = ingot_asin_poly_f32(big ? ingot_sqrt_f32(z) : a, z);
    return ingot_copysign_f32(big ? 1.57079632679489662f - (p + p) : p, x);
}

static inline float ingot_acos_f32(float x) {
    const float a = ingot_abs_f32(x);
    const int big = a > 0.5f;
    const float z = big ? 0.5f * (1.0f - a) : a * a;
    const float p = ingot_asin_poly_f32(big ? ingot_sqrt_f32(z) : a, z);
    const float outer = x < 0.0f ? 3.14159265358979324f - (p + p) : p + p;
    return big ? outer : 1.57079632679489662f - ingot_copysign_f32(p, x);
}

static inline float ingot_atan_f32(float x) {
    const float a = ingot_abs_f32(x);
    const int high = a > 2.414213562373095f, middle = a > 0.4142135623730950f;
    const float numerator = high ? -1.0f : middle ? a - 1.0f : a;
    const float denominator = high ? a : middle ? a + 1.0f : 1.0f;
    const float base = high ? 1.57079632679489662f : middle ? 0.785398163397448310f : 0.0f;
    const float t = numerator / denominator;
    const float z = t * t;
    float p = INGOT_FMAF(8.05374449538e-2f, z, -1.38776856032e-1f);
    p = INGOT_FMAF(p, z, 1.99777106478e-1f);
    p = INGOT_FMAF(p, z, -3.33329491539e-1f);
    return ingot_copysign_f32(base + INGOT_FMAF(p * z, t, t), x);
}

/* -- hyperbolic functions ------------------------------------------------------------------------------------------ */

static inline float ingot_sinh_f32(float x) {
    const float a = ingot_abs_f32(x);
    const float z = a * a;
    float p = INGOT_FMAF(2.03721912945e-4f, z, 8.33028376239e-3f);
    p = INGOT_FMAF(p, z, 1.66667160211e-1f);
    const float half = ingot_exp_scaled_f32(a, -1);
    return ingot_copysign_f32(a < 1.0f ? INGOT_FMAF(p * z, a, a) : half - 0.25f / half, x);
}

static inline float ingot_cosh_f32(float x) {
    const float half = ingot_exp_scaled_f32(ingot_abs_f32(x), -1);
    return half + 0.25f / half;
}

static inline float ingot_asinh_f32(float x) {
    const float a = ingot_abs_f32(x);
    const int huge = a > 1.0e9f; /* a^2 + 1 == a^2 long before, and a^2 would overflow later */
    const float square = huge ? 0.0f : a * a;
    const float y = ingot_log1p_f32(huge ? a : a + square / (1.0f + ingot_sqrt_f32(square + 1.0f)));
    return ingot_copysign_f32(huge ? y + 0.693147180559945f : y, x);
}

static inline float ingot_acosh_f32(float x) {
    const int huge = x > 1.0e9f;
    const float t = x - 1.0f;
    const float y = ingot_log1p_f32(huge ? x : t + ingot_sqrt_f32(t * (t + 2.0f)));
    return x < 1.0f ? INGOT_NAN_F32 : huge ? y + 0.693147180559945f : y;
}

static inline float ingot_atanh_f32(float x) {
    const float a = ingot_abs_f32(x);
    return ingot_copysign_f32(0.5f * ingot_log1p_f32((a + a) / (1.0f - a)), x);
}

/* -- pow ----------------------------------------------------------------------------------------------------------- */

/* log2 of positive finite x to about 40 bits, from 2 atanh((m - 1) / (m + 1)). */
static inline double ingot_log2_wide(float x) {
    const uint64_t shifted = ingot_bits_f64((double)x) - 0x3fe6a09e667f3bcdull; /* sqrt(1/2) */
    const double e = (double)(int32_t)((int64_t)shifted >> 52);
    const double m = ingot_double_of_bits((shifted & 0x000fffffffffffffull) + 0x3fe6a09e667f3bcdull);
    const double t = (m - 1.0) / (m + 1.0);
    const double z = t * t;
    double p = 0.22195308321368667; /* 2 / ln 2 / (2 k + 1) for k = 6 ... 0 */
    p = p * z + 0.26230818925253880;
    p = p * z + 0.32059889797532520;
    p = p * z + 0.41219858311113240;
    p = p * z + 0.57707801635558536;
    p = p * z + 0.96179669392597560;
    p = p * z + 2.88539008177792680;
    return p * t + e;
}

/* 2^v to about 36 bits for |v| <= 300. */
static inline double ingot_exp2_wide(double v) {
    const double magic = 6755399441055744.0;
    const double shifted = v + magic;
    const double r = (v - (shifted - magic)) * 0.69314718055994531;
    double p = 2.48015873015873e-5; /* 1 / 8! ... 1 / 0! */
    p = p * r + 1.98412698412698413e-4;
    p = p * r + 1.38888888888888889e-3;
    p = p * r + 8.33333333333333333e-3;
    p = p * r + 4.16666666666666667e-2;
    p = p * r + 1.66666666666666667e-1;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    return p * ingot_double_of_bits((ingot_bits_f64(shifted) + 1023u) << 52);
}

/* x^y as C99 Annex F has it. */
static inline float ingot_pow_f32(float x, float y) {
    const float a = ingot_abs_f32(x);
    const float b = ingot_abs_f32(y);
    /* Whole and odd exponents: from 2^24 on every float is an even integer. */
    const float small = ingot_select_f32(b < 16777216.0f, b, 0.0f);
    const int32_t whole = (int32_t)small;
    const int is_whole = (float)whole == small;
    const uint32_t odd = (uint32_t)(whole & is_whole);
    double l = ingot_log2_wide(a);
    l = a == 0.0f ? -(double)INGOT_INF_F32 : l;
    l = a == INGOT_INF_F32 ? (double)INGOT_INF_F32 : l;
    double v = l * (double)y;
    v = v > 300.0 ? 300.0 : v;
    v = v < -300.0 ? -300.0 : v;
    float r = (float)ingot_exp2_wide(v);
    r = ingot_select_f32((x < 0.0f) & !is_whole & (a != INGOT_INF_F32), INGOT_NAN_F32, r);
    r = ingot_float_of_bits(ingot_bits_f32(r) | ((ingot_bits_f32(x) & 0x80000000u) & (0u - odd)));
    r = ingot_select_f32((x != x) | (y != y), INGOT_NAN_F32, r);
    r = ingot_select_f32((a == 1.0f) & (b == INGOT_INF_F32), 1.0f, r);
    return ingot_select_f32((x == 1.0f) | (y == 0.0f), 1.0f, r);
}

#endif
