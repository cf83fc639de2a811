/* The functions of elementwise programs as device code, made of the same functions_*.inc files as the CPU's loops:
 * ew<FUNCTION, T>::of(operands..., alpha, beta), T being the type of the last operand. */
#ifndef INGOT_ELEMENTWISE_CUDA_H
#define INGOT_ELEMENTWISE_CUDA_H

#include "cuda_device.h"
#include "cuda_epilogue.h"
#include "elementwise/elementwise.h"
#include "elementwise/elementwise_scalar.h"
#include "half.h"
#include "requantize.h"

namespace ingot {

template <int FUNCTION, class T> struct ew;

/* C is the type alpha and beta are computed in. */
#define EW_OF_1(f, R, T, C, e)                                                                                         \
    template <> struct ew<INGOT_EW_##f, T> {                                                                           \
        static DEVICE R of(T x, float alpha_, float beta_) {                                                           \
            const C alpha = (C)alpha_, beta = (C)beta_;                                                                \
            (void)alpha, (void)beta;                                                                                   \
            return (R)(e);                                                                                             \
        }                                                                                                              \
    };
#define EW_OF_2(f, R, T, C, e)                                                                                         \
    template <> struct ew<INGOT_EW_##f, T> {                                                                           \
        static DEVICE R of(T x, T y, float alpha_, float beta_) {                                                      \
            const C alpha = (C)alpha_, beta = (C)beta_;                                                                \
            (void)alpha, (void)beta;                                                                                   \
            return (R)(e);                                                                                             \
        }                                                                                                              \
    };

/* -- float32 ------------------------------------------------------------------------------------------------------- */

#define EW_1(f, e) EW_OF_1(f, float, float, float, e)
#define EW_2(f, e) EW_OF_2(f, float, float, float, e)
#define EW_1B(f, e) EW_OF_1(f, uint8_t, float, float, e)
#define EW_2B(f, e) EW_OF_2(f, uint8_t, float, float, e)
/* The compiler's own functions reduce arguments of any size, in float32. */
#define EW_TRIG(f, e, libm) EW_OF_1(f, float, float, float, libm)
#define EW_ACT(f)                                                                                                      \
    EW_OF_1(f, float, float, float,                                                                                    \
            (activation < INGOT_ACT_##f <= INGOT_ACT_CLIP                                                              \
                 ? 0                                                                                                   \
                 : INGOT_ACT_##f > (ingot_activation{INGOT_ACT_##f, alpha, beta, 0})(x)))
#include "functions_f32.inc"
#include "functions_f32_rare.inc"
#undef EW_1
#undef EW_2
#undef EW_1B
#undef EW_2B
#undef EW_TRIG
#undef EW_ACT

/* -- float64 ------------------------------------------------------------------------------------------------------- */

#define EW_1(f, e) EW_OF_1(f, double, double, double, e)
#define EW_2(f, e) EW_OF_2(f, double, double, double, e)
#define EW_1B(f, e) EW_OF_1(f, uint8_t, double, double, e)
#define EW_2B(f, e) EW_OF_2(f, uint8_t, double, double, e)
#include "functions_f64.inc"
#undef EW_1
#undef EW_2
#undef EW_1B
#undef EW_2B

/* -- integers ------------------------------------------------------------------------------------------------------ */

#define EW_1(f, e) EW_OF_1(f, EW_T, EW_T, float, e)
#define EW_2(f, e) EW_OF_2(f, EW_T, EW_T, float, e)
#define EW_2B(f, e) EW_OF_2(f, uint8_t, EW_T, float, e)

#define EW_T int32_t
#define EW_U uint32_t
#define EW_BITS 32
#define EW_NEGATIVE(x) ((x) < 0)
#define EW_NAME(f) i32_##f
#include "functions_division.inc"
#include "functions_int.inc"
#undef EW_T
#undef EW_U
#undef EW_BITS
#undef EW_NAME

#define EW_U uint64_t
#define EW_BITS 64
#define EW_T int64_t
#define EW_NAME(f) i64_##f
#include "functions_division.inc"
#include "functions_int.inc"
#undef EW_T
#undef EW_NEGATIVE
#undef EW_NAME

#define EW_T uint64_t
#define EW_NEGATIVE(x) 0
#define EW_NAME(f) u64_##f
#include "functions_division.inc"
#include "functions_int.inc"
#undef EW_T
#undef EW_U
#undef EW_BITS
#undef EW_NEGATIVE
#undef EW_NAME
#undef EW_1
#undef EW_2
#undef EW_2B

/* -- conversions, logic -------------------------------------------------------------------------------------------- */

/* The machine's own conversions; there is one NaN of each sign. */
DEVICE uint16_t ew_f16_of_f32(float x) {
    return x != x ? (uint16_t)(0x7e00u | (bits_of(x) >> 16 & 0x8000u)) : from_float<f16>(x).bits;
}
DEVICE uint16_t ew_bf16_of_f32(float x) {
    return x != x ? (uint16_t)(0x7fc0u | (bits_of(x) >> 16 & 0x8000u)) : from_float<bf16>(x).bits;
}

#define EW_WHERE(column, T)
#define EW_COPY(column, T)
#define EW_LOGIC_AND EW_OF_2
#define EW_LOGIC_OR EW_OF_2
#define EW_LOGIC_XOR EW_OF_2
#define EW_LOGIC_NOT EW_OF_1
#define EW_LOGIC(f, e) EW_LOGIC_##f(f, uint8_t, uint8_t, float, e)
#define EW_CAST(from, to, T, R, e) EW_OF_1(CAST_##from##_##to, R, T, float, e)
#define EW_QUANT(f, from, to, T, R, e) EW_OF_1(f, R, T, float, e)
#define ingot_f32_of_f16(x) to_float(f16{x})
#define ingot_f16_of_f32(x) ew_f16_of_f32(x)
#define ingot_bf16_of_f32(x) ew_bf16_of_f32(x)
#include "functions_cast_rare.inc"
#include "functions_move.inc"
#include "functions_quantize.inc"
#undef ingot_f32_of_f16
#undef ingot_f16_of_f32
#undef ingot_bf16_of_f32
#undef EW_WHERE
#undef EW_COPY
#undef EW_LOGIC_AND
#undef EW_LOGIC_OR
#undef EW_LOGIC_XOR
#undef EW_LOGIC_NOT
#undef EW_LOGIC
#undef EW_CAST
#undef EW_QUANT
#undef EW_OF_1
#undef EW_OF_2

/* -- functions whose results are stored in half ---------------------------------------------------------------------
 */

/* ew<FUNCTION, float> where an error far below that of the rounding that follows saves time. */
template <int FUNCTION> struct ew_rough : ew<FUNCTION, float> {};

DEVICE float ew_rough_exp(float x) { return exp2_fast(x * 1.44269504088896341f); }
DEVICE float ew_rough_sigmoid(float x) { return reciprocal_fast(1.0f + ew_rough_exp(-x)); }

/* M. Abramowitz, I. Stegun, "Handbook of Mathematical Functions", 7.1.26: to 1.5e-7. */
DEVICE float ew_rough_erf(float x) {
    const float a = ingot_abs_f32(x), t = reciprocal_fast(fma_f32(0.3275911f, a, 1.0f));
    float p = fma_f32(1.061405429f, t, -1.453152027f);
    p = fma_f32(p, t, 1.421413741f);
    p = fma_f32(p, t, -0.284496736f);
    p = fma_f32(p, t, 0.254829592f);
    return ingot_copysign_f32(1.0f - p * t * ew_rough_exp(-a * a), x);
}

#define EW_ROUGH(f, e)                                                                                                 \
    template <> struct ew_rough<INGOT_EW_##f> {                                                                        \
        static DEVICE float of(float x, float alpha, float beta) {                                                     \
            (void)alpha, (void)beta;                                                                                   \
            return e;                                                                                                  \
        }                                                                                                              \
    };
EW_ROUGH(EXP, ew_rough_exp(x))
EW_ROUGH(ERF, ew_rough_erf(x))
EW_ROUGH(SIGMOID, ew_rough_sigmoid(x))
EW_ROUGH(SILU, x *ew_rough_sigmoid(x))
EW_ROUGH(SWISH, x *ew_rough_sigmoid(alpha *x))
EW_ROUGH(TANH, tanh_fast(x))
EW_ROUGH(GELU, 0.5f * x * (1.0f + ew_rough_erf(x * 0.70710678118654752f)))
EW_ROUGH(GELU_TANH, 0.5f * x * (1.0f + tanh_fast(0.79788456080286536f * (x + 0.044715f * (x * x * x)))))
#undef EW_ROUGH

/* The bits of x as another type of that size. */
template <class R, class T> DEVICE R ew_bits(T x) {
    static_assert(sizeof(R) == sizeof(T), "a type of the same width");
    R y;
    memcpy(&y, &x, sizeof y);
    return y;
}

template <class... T> struct ew_types {};

} // namespace ingot

#endif
