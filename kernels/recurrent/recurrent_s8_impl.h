/* The cells of recurrent_s8_n16k4 for one instruction set: fixed sequences of binary32 operations, each rounded once.
 *
 * Sigmoid and tanh are kept as fractions, so that a new state is one division: a step waits for it. */
#include "recurrent/recurrent_s8.h"
#include "vmath.h"

enum { LANES = 16 };

/* exp(-a) for a >= 0. No fused operation: where there is none, emulating it costs far more than the cell itself. The
 * polynomial is that of Cephes (S. Moshier). */
static inline float exp_negative(float a) {
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
typedef struct gate {
    float yes, no, both;
} gate;

static inline gate sigmoid(float x) {
    const float e = exp_negative(ingot_abs_f32(x));
    return (gate){x < 0.0f ? e : 1.0f, x < 0.0f ? 1.0f : e, 1.0f + e};
}

/* tanh = yes / both. */
static inline gate hyperbolic(float x) {
    const float a = ingot_abs_f32(x), e = exp_negative(a + a);
    return (gate){ingot_copysign_f32(1.0f - e, x), 0.0f, 1.0f + e};
}

/* Sixteen numbers of fifteen bits, from `first` on of n: as int16, or in two parts. */
static void split(const float *x, float factor, int64_t first, int64_t n, int wide, int8_t *parts) {
    int8_t *high = parts + first, *low = parts + n + first;
    int32_t q[LANES];
    for (int j = 0; j < LANES; j++) {
        float v = x[j] * factor;
        v = v == v ? v : 0.0f;
        v = v < -16319.0f ? -16319.0f : v;
        v = v > 16319.0f ? 16319.0f : v;
        q[j] = (int32_t)((v + INGOT_ROUND_MAGIC_F32) - INGOT_ROUND_MAGIC_F32);
    }
    if (wide) {
        int16_t words[LANES];
        for (int j = 0; j < LANES; j++) words[j] = (int16_t)q[j];
        memcpy(parts + 2 * first, words, sizeof words);
        return;
    }
    for (int j = 0; j < LANES; j++) high[j] = (int8_t)((q[j] + 64) >> 7);
    for (int j = 0; j < LANES; j++) low[j] = (int8_t)(((q[j] + 64) & 127) - 64);
}

static void lstm(const recurrent_s8_row *row, int64_t first, float *restrict h, float *restrict c) {
    const int64_t n = row->padded;
    const float *restrict gates = row->gates + first;
    for (int j = 0; j < LANES; j++) {
        const gate in = sigmoid(gates[j]), forget = sigmoid(gates[2 * n + j]), cell = hyperbolic(gates[3 * n + j]);
        const float both = in.both * cell.both;
        c[j] = ((forget.yes * c[j]) * both + (in.yes * cell.yes) * forget.both) / (forget.both * both);
    }
    for (int j = 0; j < LANES; j++) {
        const gate out = sigmoid(gates[n + j]), cell = hyperbolic(c[j]);
        h[j] = (out.yes * cell.yes) / (out.both * cell.both);
    }
}

/* to = start + x times the reset gate; no start is zero. */
static void reset(const recurrent_s8_row *row, int64_t first, const float *start, const float *x, float *to) {
    float gates[LANES], from[LANES] = {0}, product[LANES];
    memcpy(gates, row->gates + row->padded + first, sizeof gates);
    memcpy(product, x, sizeof product);
    if (start != NULL) {
        memcpy(from, start, sizeof from);
    }
    for (int j = 0; j < LANES; j++) {
        const gate r = sigmoid(gates[j]);
        product[j] = from[j] + product[j] * r.yes / r.both;
    }
    memcpy(to, product, sizeof product);
}

/* h = (1 - z) candidate + z h */
static void gru(const recurrent_s8_row *row, int64_t first, float *restrict h) {
    const float *restrict update = row->gates + first, *restrict candidate = update + 2 * row->padded;
    for (int j = 0; j < LANES; j++) {
        const gate z = sigmoid(update[j]), t = hyperbolic(candidate[j]);
        h[j] = (t.yes * z.no + (z.yes * h[j]) * t.both) / (z.both * t.both);
    }
}

static void rnn(const recurrent_s8_row *row, int64_t first, float *restrict h) {
    for (int j = 0; j < LANES; j++) {
        const gate t = hyperbolic(row->gates[first + j]);
        h[j] = t.yes / t.both;
    }
}

static void split_all(const float *x, float factor, int64_t n, int wide, int8_t *parts) {
    for (int64_t first = 0; first < n; first += LANES) split(x + first, factor, first, n, wide, parts);
}

static void sum_all(const recurrent_s8_sums *s, int64_t n, float *to) {
    for (int64_t i = 0; i < n; i += LANES) {
        for (int64_t j = i; j < i + LANES; j++) to[j] = ingot_fma_f32((float)s->sum[j], s->scale[j], s->start[j]);
    }
}

static void step_row(const recurrent_s8_row *given, recurrent_s8_step step) {
    const recurrent_s8_row row = *given;
    for (int64_t first = 0; first < row.padded; first += LANES) {
        float kept[LANES], *h = row.h + first, *candidate = row.gates + 2 * row.padded + first;
        switch (step) {
        case RECURRENT_S8_RNN: rnn(&row, first, h); break;
        case RECURRENT_S8_LSTM: lstm(&row, first, h, row.c + first); break;
        case RECURRENT_S8_GRU_RESET: reset(&row, first, NULL, h, kept); break;
        case RECURRENT_S8_GRU_AFTER:
            reset(&row, first, row.ahead + 2 * row.padded + first, candidate, candidate);
            gru(&row, first, h);
            break;
        case RECURRENT_S8_GRU: gru(&row, first, h); break;
        }
        split(step == RECURRENT_S8_GRU_RESET ? kept : h, RECURRENT_S8_STATE, first, row.padded, row.wide, row.parts);
    }
}

const recurrent_s8_cells INGOT_PASTE(ingot_, recurrent_s8_cells, INGOT_ISA) = {split_all, sum_all, step_row};
