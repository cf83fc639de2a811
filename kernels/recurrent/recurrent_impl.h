/* recurrent_f32, compiled once for each instruction set.
 *
 * A unit is a direction and up to RECURRENT_BATCH batch rows: it does all time steps, so the state stays in its cache.
 * The product with x is made for several steps at a time, the one with h a step at a time, starting from the former. */
#include <math.h>
#include <string.h>

#include "recurrent/recurrent_shape.h"
#include "vec16.h"

/* -- rows times panels --------------------------------------------------------------------------------------------- */

/* out[m][v * 16 ...] = init[m][v * 16 ...] + sum over k of x[m][k] * panels[v][k][...], for `rows` rows and `vectors`
 * panels. With `parts` > 1 the sum over k is split, to have enough independent sums in flight. */
INGOT_INLINE void recurrent_tile(float *const *out, const float *const *init, const float *const *x, int64_t n,
                                 const float *panels, int rows, int vectors, int parts) {
    const int64_t stride = n * 16;
    v16 acc[8];
#pragma GCC unroll 8
    for (int i = 0; i < rows * vectors * parts; i++) {
        acc[i] = i % parts == 0 ? v16_load(init[i / parts / vectors] + i / parts % vectors * 16) : v16_zero();
    }
    int64_t k = 0;
    for (; k + parts <= n; k += parts) {
#pragma GCC unroll 4
        for (int part = 0; part < parts; part++) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++) {
                v16 w = v16_load(panels + v * stride + (k + part) * 16);
#pragma GCC unroll 4
                for (int m = 0; m < rows; m++) {
                    v16 *a = &acc[(m * vectors + v) * parts + part];
                    *a = v16_fma(v16_set1(x[m][k + part]), w, *a);
                }
            }
        }
    }
    for (; k < n; k++) { /* less than `parts` are left */
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            v16 w = v16_load(panels + v * stride + k * 16);
#pragma GCC unroll 4
            for (int m = 0; m < rows; m++) {
                v16 *a = &acc[(m * vectors + v) * parts];
                *a = v16_fma(v16_set1(x[m][k]), w, *a);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows * vectors; i++) {
        v16 sum = acc[i * parts];
#pragma GCC unroll 4
        for (int part = 1; part < parts; part++) sum = v16_add(sum, acc[i * parts + part]);
        v16_store(out[i / vectors] + i % vectors * 16, sum);
    }
}

/* Tiles as large as the registers: rows by panels for several rows, panels for one row. */
#if defined(__AVX512F__)
enum { TILE_ROWS = 4, TILE_PANELS = 2, ROW_PANELS = 8 };
#elif defined(__AVX2__) || defined(INGOT_ISA_neon)
enum { TILE_ROWS = 4, TILE_PANELS = 1, ROW_PANELS = 4 };
#else
enum { TILE_ROWS = 2, TILE_PANELS = 1, ROW_PANELS = 2 };
#endif

/* The same for any number of rows and panels. */
static void recurrent_product(float *const *out, const float *const *init, const float *const *x, int64_t rows,
                              int64_t n, const float *panels, int64_t count) {
    for (int64_t row = 0; row < rows;) {
        const int several = rows - row >= TILE_ROWS;
        for (int64_t panel = 0; panel < count;) {
            float *o[TILE_ROWS];
            const float *b[TILE_ROWS], *const *xs = x + row, *p = panels + panel * n * 16;
            for (int m = 0; m < (several ? TILE_ROWS : 1); m++) {
                o[m] = out[row + m] + panel * 16;
                b[m] = init[row + m] + panel * 16;
            }
            const int64_t left = count - panel;
            if (several && left >= TILE_PANELS) {
                recurrent_tile(o, b, xs, n, p, TILE_ROWS, TILE_PANELS, 1);
                panel += TILE_PANELS;
            } else if (several) {
                recurrent_tile(o, b, xs, n, p, TILE_ROWS, 1, 1);
                panel += 1;
            } else if (left >= ROW_PANELS) {
                recurrent_tile(o, b, xs, n, p, 1, ROW_PANELS, 1);
                panel += ROW_PANELS;
            } else if (left >= 3) {
                recurrent_tile(o, b, xs, n, p, 1, 3, ROW_PANELS >= 8 ? 2 : 1);
                panel += 3;
            } else {
                recurrent_tile(o, b, xs, n, p, 1, 1, ROW_PANELS >= 4 ? 4 : 2);
                panel += 1;
            }
        }
        row += several ? TILE_ROWS : 1;
    }
}

/* -- gates --------------------------------------------------------------------------------------------------------- */

static void recurrent_activate(const ingot_activation *activation, float *x, int64_t n) {
    if (activation->kind == INGOT_RECURRENT_AFFINE) {
        for (int64_t i = 0; i < n; i++) x[i] = activation->alpha * x[i] + activation->beta;
    } else if (activation->kind == INGOT_RECURRENT_SCALED_TANH) {
        for (int64_t i = 0; i < n; i++) x[i] = activation->alpha * ingot_tanh_f32(activation->beta * x[i]);
    } else {
        ingot_activate_f32(activation, x, n);
    }
}

static void recurrent_gate(const ingot_recurrent_params *p, const ingot_activation *activation, float *x, int64_t n) {
    if (p->clip < INGOT_INF_F32) {
        for (int64_t i = 0; i < n; i++) x[i] = ingot_clip_f32(x[i], -p->clip, p->clip);
    }
    recurrent_activate(activation, x, n);
}

static void recurrent_lstm(const ingot_recurrent_params *p, const ingot_activation act[3], const recurrent_shape *s,
                           float *restrict gates, const float *peepholes, float *restrict h, float *restrict c) {
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

/* Blends h with the candidate: h = (1 - z) candidate + z h. */
static void recurrent_gru_blend(const float *restrict z, const float *restrict candidate, float *restrict h, int64_t n) {
    for (int64_t j = 0; j < n; j++) h[j] = (1.0f - z[j]) * candidate[j] + z[j] * h[j];
}

/* -- one direction of some batch rows ------------------------------------------------------------------------------ */

typedef struct recurrent_task {
    const ingot_recurrent_params *params;
    const ingot_activation *act;
    recurrent_shape shape;
    recurrent_scratch buffer;
    const float *w, *r, *bias, *hidden_bias; /* packed, of this direction */
    const float *peepholes;
    int64_t direction, first, rows;
    int64_t length[RECURRENT_BATCH];
    int reverse;
} recurrent_task;

/* The time at which a batch row does its `step`th step. */
static int64_t recurrent_time(const recurrent_task *t, int64_t row, int64_t step) {
    return t->reverse ? t->length[row] - 1 - step : step;
}

/* ahead[step - from][row] = x W + bias for the steps [from, from + steps). */
static void recurrent_look_ahead(const recurrent_task *t, const float *x, int64_t from, int64_t steps) {
    float *out[RECURRENT_AHEAD];
    const float *init[RECURRENT_AHEAD], *in[RECURRENT_AHEAD];
    const recurrent_shape *s = &t->shape;
    int64_t count = 0;
    for (int64_t step = from; step < from + steps; step++) {
        for (int64_t row = 0; row < t->rows; row++, count++) {
            int64_t time = step < t->length[row] ? recurrent_time(t, row, step) : 0; /* unused then */
            in[count] = x + (time * s->batch + t->first + row) * s->inputs;
            init[count] = t->bias;
            out[count] = t->buffer.ahead + count * s->width;
        }
    }
    recurrent_product(out, init, in, count, s->inputs, t->w, s->width / 16);
}

/* One step of all rows, the gates of x beginning at `ahead`. Rows whose sequence has ended compute and keep nothing. */
static void recurrent_step(const recurrent_task *t, const float *ahead, int64_t step) {
    const recurrent_shape *s = &t->shape;
    const ingot_recurrent_params *p = t->params;
    const recurrent_scratch *b = &t->buffer;
    const int64_t panels = s->padded / 16, n = s->padded;
    float *gates[RECURRENT_BATCH], *hidden[RECURRENT_BATCH], *h[RECURRENT_BATCH], *c[RECURRENT_BATCH];
    const float *init[RECURRENT_BATCH], *state[RECURRENT_BATCH], *last[RECURRENT_BATCH];
    int64_t live = 0;
    for (int64_t row = 0; row < t->rows; row++) {
        if (step >= t->length[row]) {
            continue;
        }
        gates[live] = b->gates + row * s->width;
        hidden[live] = b->hidden + row * n;
        h[live] = b->h + row * n;
        c[live] = b->c + row * n;
        state[live] = h[live];
        init[live] = ahead + row * s->width;
        live++;
    }
    if (p->kind != INGOT_RECURRENT_GRU) {
        recurrent_product(gates, init, state, live, s->hidden, t->r, s->gates * panels);
        for (int64_t i = 0; i < live; i++) {
            if (p->kind == INGOT_RECURRENT_LSTM) {
                recurrent_lstm(p, t->act, s, gates[i], t->peepholes, h[i], c[i]);
            } else {
                recurrent_gate(p, &t->act[0], gates[i], n);
                memcpy(h[i], gates[i], (size_t)n * sizeof(float));
            }
        }
        return;
    }
    const float *r_hidden = t->r + 2 * n * s->hidden;
    recurrent_product(gates, init, state, live, s->hidden, t->r, 2 * panels); /* z and r */
    for (int64_t i = 0; i < live; i++) {
        recurrent_gate(p, &t->act[0], gates[i], 2 * n);
        init[i] += 2 * n; /* from here on of the candidate */
    }
    if (p->linear_before_reset) {
        for (int64_t i = 0; i < live; i++) last[i] = t->hidden_bias + 2 * n;
        recurrent_product(hidden, last, state, live, s->hidden, r_hidden, panels);
        for (int64_t i = 0; i < live; i++) {
            for (int64_t j = 0; j < n; j++) hidden[i][j] = init[i][j] + gates[i][n + j] * hidden[i][j];
        }
    } else {
        float *candidate[RECURRENT_BATCH];
        for (int64_t i = 0; i < live; i++) {
            for (int64_t j = 0; j < n; j++) gates[i][n + j] *= h[i][j];
            last[i] = gates[i] + n;
            candidate[i] = hidden[i];
        }
        recurrent_product(candidate, init, last, live, s->hidden, r_hidden, panels);
    }
    for (int64_t i = 0; i < live; i++) {
        recurrent_gate(p, &t->act[1], hidden[i], n);
        recurrent_gru_blend(gates[i], hidden[i], h[i], n);
    }
}

/* Copies a [D, B, H] state in or out of the padded rows; no source means zero. */
static void recurrent_load(const recurrent_task *t, float *to, const float *from) {
    const recurrent_shape *s = &t->shape;
    memset(to, 0, (size_t)(t->rows * s->padded) * sizeof *to);
    for (int64_t row = 0; row < t->rows && from != NULL; row++) {
        memcpy(to + row * s->padded, from + ((t->direction * s->batch + t->first) + row) * s->hidden,
               (size_t)s->hidden * sizeof *to);
    }
}

static void recurrent_save(const recurrent_task *t, float *to, const float *from) {
    const recurrent_shape *s = &t->shape;
    for (int64_t row = 0; row < t->rows; row++) {
        memcpy(to + ((t->direction * s->batch + t->first) + row) * s->hidden, from + row * s->padded,
               (size_t)s->hidden * sizeof *to);
    }
}

static void recurrent_unit(const recurrent_task *t, const ingot_call *call) {
    const recurrent_shape *s = &t->shape;
    float *y = call->out[0].data;
    recurrent_load(t, t->buffer.h, recurrent_optional(call, RECURRENT_H0));
    recurrent_load(t, t->buffer.c, recurrent_optional(call, RECURRENT_C0));
    const int64_t ahead = RECURRENT_AHEAD / t->rows;
    for (int64_t step = 0; step < s->steps; step++) {
        int64_t slot = step % ahead;
        if (slot == 0) {
            int64_t steps = s->steps - step < ahead ? s->steps - step : ahead;
            recurrent_look_ahead(t, call->in[RECURRENT_X].data, step, steps);
        }
        recurrent_step(t, t->buffer.ahead + slot * t->rows * s->width, step);
        for (int64_t row = 0; row < t->rows; row++) {
            int live = step < t->length[row];
            int64_t time = live ? recurrent_time(t, row, step) : step;
            float *to = y + ((time * s->directions + t->direction) * s->batch + t->first + row) * s->hidden;
            if (live) {
                memcpy(to, t->buffer.h + row * s->padded, (size_t)s->hidden * sizeof *to);
            } else {
                memset(to, 0, (size_t)s->hidden * sizeof *to);
            }
        }
    }
    recurrent_save(t, call->out[1].data, t->buffer.h);
    if (call->out_count > 2) {
        recurrent_save(t, call->out[2].data, t->buffer.c);
    }
}

/* -- weights ------------------------------------------------------------------------------------------------------- */

/* [gates * hidden][n] -> panels [gates * padded / 16][n][16]. */
static void recurrent_pack(const recurrent_shape *s, float *to, const float *from, int64_t n) {
    memset(to, 0, (size_t)(s->width * n) * sizeof *to);
    for (int64_t gate = 0; gate < s->gates; gate++) {
        for (int64_t unit = 0; unit < s->hidden; unit++) {
            const float *row = from + (gate * s->hidden + unit) * n;
            int64_t at = gate * s->padded + unit;
            float *panel = to + at / 16 * n * 16 + at % 16;
            for (int64_t k = 0; k < n; k++) panel[k * 16] = row[k];
        }
    }
}

/* ONNX's bias [2][gates * hidden] -> [2][width]: what is added to the gates, and what to R h alone. */
static void recurrent_pack_bias(const ingot_recurrent_params *p, const recurrent_shape *s, float *to, const float *from) {
    memset(to, 0, (size_t)(2 * s->width) * sizeof *to);
    for (int64_t gate = 0; gate < s->gates; gate++) {
        const int apart = p->kind == INGOT_RECURRENT_GRU && gate == 2 && p->linear_before_reset;
        for (int64_t unit = 0; unit < s->hidden; unit++) {
            float of_w = from[gate * s->hidden + unit], of_r = from[(s->gates + gate) * s->hidden + unit];
            to[gate * s->padded + unit] = apart ? of_w : of_w + of_r;
            to[s->width + gate * s->padded + unit] = apart ? of_r : 0.0f;
        }
    }
}

static void recurrent_weights(recurrent_task *t, const ingot_call *call, int plain) {
    const recurrent_shape *s = &t->shape;
    const float *bias = recurrent_optional(call, RECURRENT_BIAS);
    t->w = call->in[RECURRENT_W].data;
    t->r = call->in[RECURRENT_R].data;
    if (plain) {
        recurrent_pack(s, t->buffer.w, t->w + t->direction * s->gates * s->hidden * s->inputs, s->inputs);
        recurrent_pack(s, t->buffer.r, t->r + t->direction * s->gates * s->hidden * s->hidden, s->hidden);
        t->w = t->buffer.w;
        t->r = t->buffer.r;
        if (bias != NULL) {
            recurrent_pack_bias(t->params, s, t->buffer.bias, bias + t->direction * 2 * s->gates * s->hidden);
            bias = t->buffer.bias;
        }
    } else {
        t->w += t->direction * s->width * s->inputs;
        t->r += t->direction * s->width * s->hidden;
        bias = bias == NULL ? NULL : bias + t->direction * 2 * s->width;
    }
    memset(t->buffer.zeros, 0, (size_t)s->width * sizeof(float));
    t->bias = bias == NULL ? t->buffer.zeros : bias;
    t->hidden_bias = bias == NULL ? t->buffer.zeros : bias + s->width;
}

static int recurrent_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, int plain) {
    const ingot_recurrent_params *p = call->params;
    recurrent_task t = {.params = p, .shape = recurrent_shape_of(call)};
    const recurrent_shape *s = &t.shape;
    const int32_t *lens = recurrent_optional(call, RECURRENT_LENS);
    const float *peepholes = recurrent_optional(call, RECURRENT_PEEPHOLES);
    recurrent_layout(s, plain, scratch, &t.buffer);
    for (uint32_t unit = begin; unit < end; unit++) {
        t.direction = unit / s->blocks;
        t.first = unit % s->blocks * RECURRENT_BATCH;
        t.rows = s->batch - t.first < RECURRENT_BATCH ? s->batch - t.first : RECURRENT_BATCH;
        t.reverse = p->direction == INGOT_RECURRENT_REVERSE || t.direction == 1;
        t.act = p->activations + 3 * t.direction;
        t.peepholes = peepholes == NULL ? NULL : peepholes + t.direction * 3 * s->hidden;
        for (int64_t row = 0; row < t.rows; row++) {
            t.length[row] = lens == NULL ? s->steps : lens[t.first + row];
            if (t.length[row] < 0 || t.length[row] > s->steps) {
                return INGOT_KERNEL_ERR_INDEX;
            }
        }
        recurrent_weights(&t, call, plain);
        recurrent_unit(&t, call);
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(recurrent_f32_n16) { return recurrent_run(call, begin, end, scratch, 0); }
INGOT_KERNEL_FN(recurrent_f32) { return recurrent_run(call, begin, end, scratch, 1); }
