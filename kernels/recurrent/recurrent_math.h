/* The functions of cells, number by number: what the CPU and CUDA share. */
#ifndef INGOT_RECURRENT_MATH_H
#define INGOT_RECURRENT_MATH_H

#include "vmath.h"

/* -- float32 ------------------------------------------------------------------------------------------------------- */

/* exp(-a) for a >= 0, off by up to 1.5e-7; nothing becomes zero, and that of zero is one. A power of two whose fraction
 * is a polynomial: what rounding the product with log2(e) costs of a large power is nothing beside one. */
static inline float recurrent_exp_fast(float a) {
    const float t = (a > 87.0f ? 87.0f : a) * -1.44269504f, shifted = t + INGOT_ROUND_MAGIC_F32;
    const float f = t - (shifted - INGOT_ROUND_MAGIC_F32);
    float p = INGOT_FMAF(1.32647273e-3f, f, 9.67151299e-3f);
    p = INGOT_FMAF(p, f, 5.55073358e-2f);
    p = INGOT_FMAF(p, f, 2.40222424e-1f);
    p = INGOT_FMAF(p, f, 6.93147004e-1f);
    p = INGOT_FMAF(p, f, 1.0f);
    return p * ingot_float_of_bits((ingot_bits_f32(shifted) + (127u - 0x4b400000u)) << 23);
}

/* -- INT8: fixed sequences of binary32 operations, each rounded once -------------------------------------------------
 *
 * Sigmoid and tanh are kept as fractions, so that a new state is one division: a step waits for it. */

/* exp(-a) for a >= 0. No fused operation: where there is none, emulating it costs far more than the cell itself. The
 * polynomial is that of Cephes (S. Moshier). */
static inline float recurrent_exp_negative(float a) {
    const float x = a > 87.0f ? -87.0f : -a;
    const float shifted = x * 1.44269504088896341f + INGOT_ROUND_MAGIC_F32;
    const float n = shifted - INGOT_ROUND_MAGIC_F32;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const float power = ingot_float_of_bits((ingot_bits_f32(shifted) + (127u - 0x4b400000u)) << 23);
    return ((p * (r * r) + r) + 1.0f) * power;
}

/* sigmoid = yes / both and 1 - sigmoid = no / both. */
typedef struct recurrent_fraction {
    float yes, no, both;
} recurrent_fraction;

/* Of x, e being exp(-|x|). */
static inline recurrent_fraction recurrent_sigmoid_of(float x, float e) {
    const recurrent_fraction f = {x < 0.0f ? e : 1.0f, x < 0.0f ? 1.0f : e, 1.0f + e};
    return f;
}

/* tanh = yes / both. Of x, e being exp(-2 |x|). */
static inline recurrent_fraction recurrent_tanh_of(float x, float e) {
    const recurrent_fraction f = {ingot_copysign_f32(1.0f - e, x), 0.0f, 1.0f + e};
    return f;
}

static inline recurrent_fraction recurrent_sigmoid_s8(float x) {
    return recurrent_sigmoid_of(x, recurrent_exp_negative(ingot_abs_f32(x)));
}

static inline recurrent_fraction recurrent_tanh_s8(float x) {
    const float a = ingot_abs_f32(x);
    return recurrent_tanh_of(x, recurrent_exp_negative(a + a));
}

/* The gates in, forget and cell, before their activation, and the old cell state: the new one. */
static inline float recurrent_lstm_c(float in_gate, float forget_gate, float cell_gate, float c) {
    const recurrent_fraction in = recurrent_sigmoid_s8(in_gate), forget = recurrent_sigmoid_s8(forget_gate);
    const recurrent_fraction cell = recurrent_tanh_s8(cell_gate);
    const float both = in.both * cell.both;
    return ((forget.yes * c) * both + (in.yes * cell.yes) * forget.both) / (forget.both * both);
}

static inline float recurrent_lstm_h(float out_gate, float c) {
    const recurrent_fraction out = recurrent_sigmoid_s8(out_gate), cell = recurrent_tanh_s8(c);
    return (out.yes * cell.yes) / (out.both * cell.both);
}

/* start + x times the reset gate. */
static inline float recurrent_reset(float start, float reset_gate, float x) {
    const recurrent_fraction r = recurrent_sigmoid_s8(reset_gate);
    return start + x * r.yes / r.both;
}

/* h = (1 - z) candidate + z h */
static inline float recurrent_gru_h(float update_gate, float candidate, float h) {
    const recurrent_fraction z = recurrent_sigmoid_s8(update_gate), t = recurrent_tanh_s8(candidate);
    return (t.yes * z.no + (z.yes * h) * t.both) / (z.both * t.both);
}

static inline float recurrent_rnn_h(float gate) {
    const recurrent_fraction t = recurrent_tanh_s8(gate);
    return t.yes / t.both;
}

/* What a hidden state is multiplied by before it is taken apart. */
#define RECURRENT_S8_STATE 16256.0f

/* A number as fifteen bits, and their parts: 128 high + low. */
static inline int32_t recurrent_fifteen_bits(float v) {
    v = v == v ? v : 0.0f;
    v = v < -16319.0f ? -16319.0f : v;
    v = v > 16319.0f ? 16319.0f : v;
    return (int32_t)((v + INGOT_ROUND_MAGIC_F32) - INGOT_ROUND_MAGIC_F32);
}
static inline int8_t recurrent_high_part(int32_t q) { return (int8_t)((q + 64) >> 7); }
static inline int8_t recurrent_low_part(int32_t q) { return (int8_t)(((q + 64) & 127) - 64); }

#endif
