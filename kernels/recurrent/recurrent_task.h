/* A unit of recurrent_f32 under way: what it works on, and its products with the weights. */
#ifndef INGOT_RECURRENT_TASK_H
#define INGOT_RECURRENT_TASK_H

#include <string.h>

#include "recurrent/recurrent_bf16.h"
#include "recurrent/recurrent_half.h"
#include "recurrent/recurrent_product.h"
#include "recurrent/recurrent_shape.h"

typedef struct recurrent_task {
    const ingot_recurrent_params *params;
    const ingot_activation *act;
    recurrent_shape shape;
    recurrent_scratch buffer;
    const void *w, *r; /* packed, of this direction */
    const float *bias, *hidden_bias;
    uint8_t dtype; /* of the weights */
    const float *peepholes;
    int64_t direction, first, rows;
    int64_t length[RECURRENT_BATCH];
    int reverse;
    int usual;                  /* sigmoid and tanh, no clip, no peepholes: one pass over the gates */
    int starts;                 /* from a hidden state; else from zeros */
    int by_units;               /* and one row: no pass over all of them */
    const recurrent_bf16 *bf16; /* NULL: weights are widened */
} recurrent_task;

/* The time at which a batch row does its `step`th step. */
static int64_t recurrent_time(const recurrent_task *t, int64_t row, int64_t step) {
    return t->reverse ? t->length[row] - 1 - step : step;
}

/* Products with weights from panel `first` on. */
static void recurrent_multiply(const recurrent_task *t, float *const *out, const float *const *init,
                               const float *const *x, int64_t rows, int64_t n, const void *weights, int64_t first,
                               int64_t count) {
    if (t->dtype == INGOT_F32) {
        recurrent_product(out, init, x, rows, n, (const float *)weights + first * n * 16, count);
        return;
    }
    const uint16_t *panels = (const uint16_t *)weights + first * ingot_half_steps(n) * INGOT_HALF_BLOCK;
    if (RECURRENT_BF16 && t->bf16 != NULL && n >= INGOT_HALF_ROUNDED_RUN) {
        recurrent_bf16_product(t->bf16->dot, t->buffer.rounded, t->shape.rounded, out, init, x, rows, n, panels, count);
    } else {
        recurrent_half_product(t->dtype, out, init, x, rows, n, panels, count);
    }
}

/* to[step - from][row] = x W + bias for the steps [from, from + steps). Where the reset gate comes after the product
 * with h, the gates are followed by the candidate's x W, and the candidate's own place has the bias of R h. */
static void recurrent_look_ahead(const recurrent_task *t, const float *x, int64_t from, int64_t steps, float *to) {
    float *out[RECURRENT_AHEAD] = {0};
    const float *init[RECURRENT_AHEAD] = {0}, *in[RECURRENT_AHEAD] = {0};
    const recurrent_shape *s = &t->shape;
    const int64_t panels = s->width / 16, apart = s->ahead > s->width ? s->padded : 0;
    int64_t count = 0;
    for (int64_t step = from; step < from + steps; step++) {
        for (int64_t row = 0; row < t->rows; row++, count++) {
            int64_t time = step < t->length[row] ? recurrent_time(t, row, step) : 0; /* unused then */
            in[count] = x + (time * s->batch + t->first + row) * s->inputs;
            init[count] = t->bias;
            out[count] = to + count * s->ahead;
        }
    }
    recurrent_multiply(t, out, init, in, count, s->inputs, t->w, 0, panels - apart / 16);
    if (apart > 0) {
        const int64_t before = s->width - apart;
        for (int64_t i = 0; i < count; i++) {
            memcpy(out[i] + before, t->hidden_bias + before, (size_t)apart * sizeof(float));
            out[i] += s->width;
            init[i] += before;
        }
        recurrent_multiply(t, out, init, in, count, s->inputs, t->w, before / 16, apart / 16);
    }
}

#endif
