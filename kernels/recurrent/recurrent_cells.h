/* What happens to the gates of a step once the products are made: activations, cell state, new hidden state. */
#ifndef INGOT_RECURRENT_CELLS_H
#define INGOT_RECURRENT_CELLS_H

#include <string.h>

#include "recurrent/recurrent_math.h"
#include "recurrent/recurrent_shape.h"

/* What few models have is compiled small. */
#define RECURRENT_RARE __attribute__((cold))
#define RECURRENT_ONCE __attribute__((noinline))

/* AFFINE or SCALED_TANH. */
static RECURRENT_RARE void recurrent_activate_own(const ingot_activation *activation, float *x, int64_t n) {
    const int affine = activation->kind == INGOT_RECURRENT_AFFINE;
    for (int64_t i = 0; i < n; i++) {
        x[i] = affine ? activation->alpha * x[i] + activation->beta
                      : activation->alpha * ingot_tanh_f32(activation->beta * x[i]);
    }
}

static void recurrent_activate(const ingot_activation *activation, float *x, int64_t n) {
    if (activation->kind == INGOT_RECURRENT_AFFINE || activation->kind == INGOT_RECURRENT_SCALED_TANH) {
        recurrent_activate_own(activation, x, n);
    } else {
        ingot_activate_f32(activation, x, n);
    }
}

static RECURRENT_ONCE void recurrent_gate(const ingot_recurrent_params *p, const ingot_activation *activation, float *x,
                                          int64_t n) {
    if (p->clip < INGOT_INF_F32) {
        for (int64_t i = 0; i < n; i++) x[i] = ingot_clip_f32(x[i], -p->clip, p->clip);
    }
    recurrent_activate(activation, x, n);
}

static RECURRENT_RARE void recurrent_lstm(const ingot_recurrent_params *p, const ingot_activation act[3],
                                          const recurrent_shape *s, float *restrict gates, const float *peepholes,
                                          float *restrict h, float *restrict c) {
    const int64_t n = s->padded, hidden = s->hidden;
    float *restrict i = gates, *restrict o = gates + n, *restrict f = gates + 2 * n, *restrict g = gates + 3 * n;
    if (peepholes == NULL) {
        recurrent_gate(p, &act[0], gates, 3 * n); /* i, o and f lie side by side */
    } else {
        for (int64_t j = 0; j < hidden; j++) i[j] += peepholes[j] * c[j];
        for (int64_t j = 0; j < hidden; j++) f[j] += peepholes[2 * hidden + j] * c[j];
        recurrent_gate(p, &act[0], i, n);
        recurrent_gate(p, &act[0], f, n);
    }
    recurrent_gate(p, &act[1], g, n);
    if (p->input_forget) {
        for (int64_t j = 0; j < n; j++) f[j] = 1.0f - i[j];
    }
    for (int64_t j = 0; j < n; j++) c[j] = f[j] * c[j] + i[j] * g[j];
    if (peepholes != NULL) {
        for (int64_t j = 0; j < hidden; j++) o[j] += peepholes[hidden + j] * c[j];
        recurrent_gate(p, &act[0], o, n);
    }
    memcpy(h, c, (size_t)n * sizeof *h);
    recurrent_activate(&act[2], h, n);
    for (int64_t j = 0; j < n; j++) h[j] *= o[j];
}

/* gates: z, r and the candidate; x: the candidate's product with x, where it stands apart. */
static RECURRENT_RARE void recurrent_gru(const ingot_recurrent_params *p, const ingot_activation act[3],
                                         float *restrict gates, const float *restrict x, float *restrict h, int64_t n) {
    float *restrict z = gates, *restrict r = gates + n, *restrict candidate = gates + 2 * n;
    recurrent_gate(p, &act[0], z, n);
    if (p->linear_before_reset) {
        recurrent_gate(p, &act[0], r, n);
        for (int64_t j = 0; j < n; j++) candidate[j] = x[j] + r[j] * candidate[j];
    }
    recurrent_gate(p, &act[1], candidate, n);
    for (int64_t j = 0; j < n; j++) h[j] = (1.0f - z[j]) * candidate[j] + z[j] * h[j];
}

static RECURRENT_ONCE void recurrent_kept(const float *restrict reset, const float *restrict h, float *restrict product,
                                          int64_t n) {
    for (int64_t j = 0; j < n; j++) product[j] = reset[j] * h[j];
}

/* -- the usual activations in one pass ------------------------------------------------------------------------------
 * n is a multiple of 16; the inner loops have a fixed length, so that they become vectors without a remainder. */

static void recurrent_usual_lstm(const float *restrict gates, float *restrict h, float *restrict c, int64_t n) {
    const float *restrict in = gates, *restrict out = gates + n, *restrict forget = gates + 2 * n;
    const float *restrict cell = gates + 3 * n;
    for (int64_t first = 0; first < n; first += 16) {
        for (int64_t j = first; j < first + 16; j++) {
            float kept = recurrent_sigmoid(forget[j]) * c[j];
            c[j] = kept + recurrent_sigmoid(in[j]) * recurrent_tanh(cell[j]);
        }
        for (int64_t j = first; j < first + 16; j++) {
            h[j] = recurrent_sigmoid(out[j]) * recurrent_tanh(c[j]);
        }
    }
}

/* gates: z, r and R h + bias of the candidate; x: the candidate's product with x. */
static void recurrent_usual_gru(const float *restrict gates, const float *restrict x, float *restrict h, int64_t n) {
    const float *restrict update = gates, *restrict reset = gates + n, *restrict hidden = gates + 2 * n;
    for (int64_t first = 0; first < n; first += 16) {
        for (int64_t j = first; j < first + 16; j++) {
            float z = recurrent_sigmoid(update[j]), r = recurrent_sigmoid(reset[j]);
            float candidate = recurrent_tanh(x[j] + r * hidden[j]);
            h[j] = (1.0f - z) * candidate + z * h[j];
        }
    }
}

#endif
