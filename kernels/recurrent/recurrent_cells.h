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

/* -- the usual activations in one pass, of 16 units ------------------------------------------------------------------
 * Gates lie `n` apart. The loops have a fixed length, so that they become vectors without a remainder. */

/* As for INT8, fractions make a new state one division. */
static inline recurrent_fraction recurrent_sigmoid_part(float x) {
    return recurrent_sigmoid_of(x, recurrent_exp_fast(ingot_abs_f32(x)));
}
static inline recurrent_fraction recurrent_tanh_part(float x) {
    const float a = ingot_abs_f32(x);
    return recurrent_tanh_of(x, recurrent_exp_fast(a + a));
}

static RECURRENT_ONCE void recurrent_usual_lstm(const float *restrict gates, float *restrict h, float *restrict c,
                                                int64_t n) {
    const float *restrict in = gates, *restrict out = gates + n, *restrict forget = gates + 2 * n;
    const float *restrict cell = gates + 3 * n;
    for (int j = 0; j < 16; j++) {
        const recurrent_fraction i = recurrent_sigmoid_part(in[j]), f = recurrent_sigmoid_part(forget[j]);
        const recurrent_fraction g = recurrent_tanh_part(cell[j]);
        const float both = i.both * g.both;
        c[j] = (f.yes * c[j] * both + i.yes * g.yes * f.both) / (f.both * both);
    }
    for (int j = 0; j < 16; j++) {
        const recurrent_fraction o = recurrent_sigmoid_part(out[j]), g = recurrent_tanh_part(c[j]);
        h[j] = o.yes * g.yes / (o.both * g.both);
    }
}

/* gates: z, r and R h + bias of the candidate; x: the candidate's product with x. */
static RECURRENT_ONCE void recurrent_usual_gru(const float *restrict gates, const float *restrict x, float *restrict h,
                                               int64_t n) {
    const float *restrict update = gates, *restrict reset = gates + n, *restrict hidden = gates + 2 * n;
    for (int j = 0; j < 16; j++) {
        const recurrent_fraction z = recurrent_sigmoid_part(update[j]), r = recurrent_sigmoid_part(reset[j]);
        const recurrent_fraction g = recurrent_tanh_part(x[j] + r.yes * hidden[j] / r.both);
        h[j] = (z.no * g.yes + z.yes * h[j] * g.both) / (z.both * g.both);
    }
}

#endif
