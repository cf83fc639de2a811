/* The cells of recurrent_s8_n16k4 for one instruction set. */
#include "recurrent/recurrent_math.h"
#include "recurrent/recurrent_s8.h"

enum { LANES = 16 };

/* Sixteen numbers of fifteen bits, from `first` on of n: as int16, or in two parts. */
static void split(const float *x, float factor, int64_t first, int64_t n, int wide, int8_t *parts) {
    int8_t *high = parts + first, *low = parts + n + first;
    int32_t q[LANES];
    for (int j = 0; j < LANES; j++) q[j] = recurrent_fifteen_bits(x[j] * factor);
    if (wide) {
        int16_t words[LANES];
        for (int j = 0; j < LANES; j++) words[j] = (int16_t)q[j];
        memcpy(parts + 2 * first, words, sizeof words);
        return;
    }
    for (int j = 0; j < LANES; j++) high[j] = recurrent_high_part(q[j]);
    for (int j = 0; j < LANES; j++) low[j] = recurrent_low_part(q[j]);
}

static void lstm(const recurrent_s8_row *row, int64_t first, float *restrict h, float *restrict c) {
    const int64_t n = row->padded;
    const float *restrict gates = row->gates + first;
    for (int j = 0; j < LANES; j++) c[j] = recurrent_lstm_c(gates[j], gates[2 * n + j], gates[3 * n + j], c[j]);
    for (int j = 0; j < LANES; j++) h[j] = recurrent_lstm_h(gates[n + j], c[j]);
}

/* to = start + x times the reset gate; no start is zero. */
static void reset(const recurrent_s8_row *row, int64_t first, const float *start, const float *x, float *to) {
    float gates[LANES], from[LANES] = {0}, product[LANES];
    memcpy(gates, row->gates + row->padded + first, sizeof gates);
    memcpy(product, x, sizeof product);
    if (start != NULL) {
        memcpy(from, start, sizeof from);
    }
    for (int j = 0; j < LANES; j++) product[j] = recurrent_reset(from[j], gates[j], product[j]);
    memcpy(to, product, sizeof product);
}

/* h = (1 - z) candidate + z h */
static void gru(const recurrent_s8_row *row, int64_t first, float *restrict h) {
    const float *restrict update = row->gates + first, *restrict candidate = update + 2 * row->padded;
    for (int j = 0; j < LANES; j++) h[j] = recurrent_gru_h(update[j], candidate[j], h[j]);
}

static void rnn(const recurrent_s8_row *row, int64_t first, float *restrict h) {
    for (int j = 0; j < LANES; j++) h[j] = recurrent_rnn_h(row->gates[first + j]);
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
