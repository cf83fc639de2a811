/* recurrent_f32, compiled once for each instruction set.
 *
 * A unit is a direction and up to RECURRENT_BATCH batch rows: it does all time steps, so the state stays in its cache.
 * The product with x is made for several steps at a time, the one with h a step at a time, starting from the former.
 * A thread that has both directions of a small cell does them in lockstep: each mostly waits for its own results. */
#include <string.h>

#include "recurrent/recurrent_cells.h"
#include "recurrent/recurrent_pack.h"
#include "recurrent/recurrent_task.h"
#include "recurrent/recurrent_units.h"

/* -- a step -------------------------------------------------------------------------------------------------------- */

/* The rows of a step whose sequence has not ended. */
typedef struct recurrent_rows {
    int64_t count;
    float *gates[RECURRENT_BATCH], *h[RECURRENT_BATCH], *c[RECURRENT_BATCH];
    const float *ahead[RECURRENT_BATCH], *state[RECURRENT_BATCH];
} recurrent_rows;

static void recurrent_step_gru(const recurrent_task *t, recurrent_rows *rows) {
    const recurrent_shape *s = &t->shape;
    const ingot_recurrent_params *p = t->params;
    const int64_t n = s->padded;
    if (p->linear_before_reset) {
        recurrent_multiply(t, rows->gates, rows->ahead, rows->state, rows->count, s->hidden, t->r, 0, s->width / 16);
    } else {
        const float *init[RECURRENT_BATCH], *kept[RECURRENT_BATCH];
        float *candidate[RECURRENT_BATCH];
        recurrent_multiply(t, rows->gates, rows->ahead, rows->state, rows->count, s->hidden, t->r, 0, 2 * n / 16);
        for (int64_t i = 0; i < rows->count; i++) {
            float *reset = rows->gates[i] + n, *product = t->buffer.kept + i * n;
            recurrent_gate(p, &t->act[0], reset, n);
            recurrent_kept(reset, rows->h[i], product, n);
            init[i] = rows->ahead[i] + 2 * n;
            kept[i] = product;
            candidate[i] = rows->gates[i] + 2 * n;
        }
        recurrent_multiply(t, candidate, init, kept, rows->count, s->hidden, t->r, 2 * n / 16, n / 16);
    }
    for (int64_t i = 0; i < rows->count; i++) {
        if (t->usual) {
            for (int64_t j = 0; j < n; j += 16) {
                recurrent_usual_gru(rows->gates[i] + j, rows->ahead[i] + s->width + j, rows->h[i] + j, n);
            }
        } else {
            recurrent_gru(p, t->act, rows->gates[i], rows->ahead[i] + s->width, rows->h[i], n);
        }
    }
}

/* One step of all rows, what was computed ahead beginning at `ahead`. */
static void recurrent_step(const recurrent_task *t, const float *ahead, int64_t step) {
    const recurrent_shape *s = &t->shape;
    const ingot_recurrent_params *p = t->params;
    const recurrent_scratch *b = &t->buffer;
    recurrent_rows rows;
    rows.count = 0; /* and no more: clearing the pointers would cost as much as a small step */
    for (int64_t row = 0; row < t->rows; row++) {
        if (step < t->length[row]) {
            rows.gates[rows.count] = b->gates + row * s->width;
            rows.h[rows.count] = b->h + row * s->padded;
            rows.c[rows.count] = b->c + row * s->padded;
            rows.state[rows.count] = b->h + row * s->padded;
            rows.ahead[rows.count++] = ahead + row * s->ahead;
        }
    }
    if (p->kind == INGOT_RECURRENT_GRU) {
        recurrent_step_gru(t, &rows);
        return;
    }
    recurrent_multiply(t, rows.gates, rows.ahead, rows.state, rows.count, s->hidden, t->r, 0, s->width / 16);
    for (int64_t i = 0; i < rows.count; i++) {
        if (t->usual) {
            for (int64_t j = 0; j < s->padded; j += 16) {
                recurrent_usual_lstm(rows.gates[i] + j, rows.h[i] + j, rows.c[i] + j, s->padded);
            }
        } else if (p->kind == INGOT_RECURRENT_LSTM) {
            recurrent_lstm(p, t->act, s, rows.gates[i], t->peepholes, rows.h[i], rows.c[i]);
        } else {
            recurrent_gate(p, &t->act[0], rows.gates[i], s->padded);
            memcpy(rows.h[i], rows.gates[i], (size_t)s->padded * sizeof(float));
        }
    }
}

/* -- by units ------------------------------------------------------------------------------------------------------ */

/* What is computed ahead while steps are done: slices, one after the other. */
typedef struct recurrent_later {
    float *out;             /* the first row of what is computed ahead */
    int64_t done, all;      /* slices */
    int64_t groups, passed; /* of 16 units, in all steps of the time for it */
} recurrent_later;

/* Products with x are made before all for FIRST_ROWS steps, then during steps for LATER_ROWS others at a time. That of
 * a step stands in row step + FIRST_ROWS. */
enum { LATER_ROWS = RECURRENT_AHEAD / 2, FIRST_ROWS = LATER_ROWS / 2 };

/* Words of so many numbers, see recurrent_units.h. */
static int64_t recurrent_words(const recurrent_task *t, int64_t n) {
    return RECURRENT_BF16 && t->bf16 != NULL ? ingot_half_steps(n) : n;
}

static recurrent_slice recurrent_next_slice(const recurrent_task *t, recurrent_later *later) {
    const recurrent_shape *s = &t->shape;
    recurrent_slice slice = {.count = 0};
    if (UNIT_ROWS > 0 && ++later->passed * later->all > later->done * later->groups) {
        const int64_t words = recurrent_words(t, s->inputs), column = later->done++ * 16;
        const int apart = s->ahead > s->width && column >= s->width - s->padded;
        slice.pitch = s->ahead;
        slice.out = later->out + column + (apart ? s->padded : 0);
        slice.init = t->bias + column;
        slice.x = t->buffer.turned;
        slice.panel = (const float *)t->w + column * words;
        slice.count = words;
    }
    return slice;
}

/* Before a step: the products with x of the first ones, or what is to be done until there are LATER_ROWS others. */
static void recurrent_plan(const recurrent_task *t, const float *x, int64_t step, recurrent_later *later) {
    const recurrent_shape *s = &t->shape;
    const int64_t steps = step == 0 ? FIRST_ROWS : LATER_ROWS, next = step + steps,
                  words = recurrent_words(t, s->inputs);
    float *const ahead = t->buffer.ahead;
    if (step == 0) {
        for (int64_t row = 0; s->ahead > s->width && row < RECURRENT_AHEAD; row++) {
            const int64_t at = s->width - s->padded;
            memcpy(ahead + row * s->ahead + at, t->hidden_bias + at, (size_t)s->padded * sizeof(float));
        }
        recurrent_look_ahead(t, x, 0, s->steps < steps ? s->steps : steps, ahead + FIRST_ROWS * s->ahead);
    } else if ((step + FIRST_ROWS) % LATER_ROWS != 0) {
        return;
    }
    *later = (recurrent_later){.groups = steps * s->padded / 16};
    later->all = next < t->length[0] ? s->width / 16 : 0;
    later->out = ahead + (next + FIRST_ROWS) % RECURRENT_AHEAD * s->ahead;
    for (int64_t row = 0; row < LATER_ROWS && later->all > 0; row++) {
        const int64_t time = next + row < t->length[0] ? recurrent_time(t, 0, next + row) : 0;
        const float *from = x + (time * s->batch + t->first) * s->inputs;
        from = RECURRENT_BF16 && t->bf16 != NULL ? recurrent_rounded(t->buffer.rounded, from, s->inputs) : from;
        for (int64_t k = 0; k < words; k++) t->buffer.turned[k * LATER_ROWS + row] = from[k];
    }
}

/* Every other step goes backwards: the weights that came last are still near. */
static void recurrent_step_by_units(const recurrent_task *t, const float *ahead, int64_t step, recurrent_later *later) {
    const recurrent_shape *s = &t->shape;
    const recurrent_scratch *b = &t->buffer;
    const int64_t n = s->padded, words = step > 0 || t->starts ? recurrent_words(t, s->hidden) : 0;
    const int lstm = t->params->kind == INGOT_RECURRENT_LSTM, rounds = RECURRENT_BF16 && t->bf16 != NULL;
    float *before = rounds ? b->rounded : b->kept;
    if (rounds) {
        recurrent_rounded(before, b->h, n);
    }
    for (int64_t i = 0; !rounds && i < n; i += 16) v16_store(before + i, v16_load(b->h + i));
    for (int64_t at = 0; at < n; at += 16) {
        const int64_t first = step % 2 ? n - 16 - at : at;
        _Alignas(64) float gates[4 * 16];
        const float *panels = (const float *)t->r + first * recurrent_words(t, s->hidden);
        const recurrent_slice slice = recurrent_next_slice(t, later);
        if (rounds) {
            t->bf16->units(gates, ahead + first, before, words, panels, n, lstm ? 4 : 3, &slice);
        } else if (lstm) {
            recurrent_units(gates, ahead + first, before, words, panels, n, 4, &slice);
        } else {
            recurrent_units(gates, ahead + first, before, words, panels, n, 3, &slice);
        }
        if (lstm) {
            recurrent_usual_lstm(gates, b->h + first, b->c + first, 16);
        } else {
            recurrent_usual_gru(gates, ahead + s->width + first, b->h + first, 16);
        }
    }
}

/* -- a sequence ---------------------------------------------------------------------------------------------------- */

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

/* Writes the step's h to Y: at the time of each row, or zeros where its sequence has ended. */
static void recurrent_write(const recurrent_task *t, float *y, int64_t step) {
    const recurrent_shape *s = &t->shape;
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

/* One direction, or both in lockstep. */
static void recurrent_sequence(const recurrent_task *tasks, int count, const ingot_call *call) {
    const recurrent_shape *s = &tasks->shape;
    const int64_t ahead = RECURRENT_AHEAD / tasks->rows;
    recurrent_later later[2];
    for (const recurrent_task *t = tasks; t < tasks + count; t++) {
        recurrent_load(t, t->buffer.h, recurrent_optional(call, RECURRENT_H0));
        recurrent_load(t, t->buffer.c, recurrent_optional(call, RECURRENT_C0));
    }
    for (int64_t step = 0; step < s->steps; step++) {
        for (const recurrent_task *t = tasks; t < tasks + count; t++) {
            const int planned = UNIT_ROWS > 0 && t->by_units;
            const int64_t slot = (planned ? step + FIRST_ROWS : step) % ahead;
            if (planned) {
                recurrent_plan(t, call->in[RECURRENT_X].data, step, &later[t - tasks]);
            } else if (slot == 0) {
                int64_t steps = s->steps - step < ahead ? s->steps - step : ahead;
                recurrent_look_ahead(t, call->in[RECURRENT_X].data, step, steps, t->buffer.ahead);
            }
            const float *products = t->buffer.ahead + slot * t->rows * s->ahead;
            if (!BY_UNITS || !t->by_units) {
                recurrent_step(t, products, step);
            } else if (step < t->length[0]) {
                recurrent_step_by_units(t, products, step, &later[t - tasks]);
            }
            recurrent_write(t, call->out[0].data, step);
        }
    }
    for (const recurrent_task *t = tasks; t < tasks + count; t++) {
        recurrent_save(t, call->out[1].data, t->buffer.h);
        if (call->out_count > 2) {
            recurrent_save(t, call->out[2].data, t->buffer.c);
        }
    }
}

/* -- weights ------------------------------------------------------------------------------------------------------- */

static void recurrent_weights(recurrent_task *t, const ingot_call *call, int plain) {
    const recurrent_shape *s = &t->shape;
    const float *bias = recurrent_optional(call, RECURRENT_BIAS);
    t->w = call->in[RECURRENT_W].data;
    t->r = call->in[RECURRENT_R].data;
    t->dtype = call->in[RECURRENT_W].dtype;
    if (plain) {
        const float *w = t->w, *r = t->r;
        recurrent_pack(s, t->buffer.w, w + t->direction * s->gates * s->hidden * s->inputs, s->inputs);
        recurrent_pack(s, t->buffer.r, r + t->direction * s->gates * s->hidden * s->hidden, s->hidden);
        t->w = t->buffer.w;
        t->r = t->buffer.r;
        if (bias != NULL) {
            recurrent_pack_bias(t->params, s, t->buffer.bias, bias + t->direction * 2 * s->gates * s->hidden);
            bias = t->buffer.bias;
        }
    } else {
        const int pads = t->dtype != INGOT_F32; /* to whole steps */
        const int64_t row = t->direction * s->width * ingot_half_size(t->dtype);
        t->w = (const char *)t->w + row * (s->inputs + (pads && s->inputs % INGOT_HALF_STEP));
        t->r = (const char *)t->r + row * (s->hidden + (pads && s->hidden % INGOT_HALF_STEP));
        bias = bias == NULL ? NULL : bias + t->direction * 2 * s->width;
    }
    memset(t->buffer.zeros, 0, (size_t)s->width * sizeof(float));
    t->bias = bias == NULL ? t->buffer.zeros : bias;
    t->hidden_bias = bias == NULL ? t->buffer.zeros : bias + s->width;
}

/* Whether the cells of the usual kind do: sigmoid and tanh, nothing special. */
static int recurrent_is_usual(const ingot_recurrent_params *p, const ingot_activation *act, const float *peepholes) {
    if (p->clip < INGOT_INF_F32 || act[0].kind != INGOT_ACT_SIGMOID || act[1].kind != INGOT_ACT_TANH) {
        return 0;
    }
    if (p->kind == INGOT_RECURRENT_LSTM) {
        return act[2].kind == INGOT_ACT_TANH && peepholes == NULL && !p->input_forget;
    }
    return p->kind == INGOT_RECURRENT_GRU && p->linear_before_reset;
}

static int recurrent_begin(recurrent_task *t, const ingot_call *call, int64_t direction, int64_t block, int plain,
                           const recurrent_bf16 *bf16) {
    const ingot_recurrent_params *p = call->params;
    const recurrent_shape *s = &t->shape;
    const int32_t *lens = recurrent_optional(call, RECURRENT_LENS);
    const float *peepholes = recurrent_optional(call, RECURRENT_PEEPHOLES);
    t->params = p;
    t->direction = direction;
    t->first = block * RECURRENT_BATCH;
    t->rows = s->batch - t->first < RECURRENT_BATCH ? s->batch - t->first : RECURRENT_BATCH;
    t->reverse = p->direction == INGOT_RECURRENT_REVERSE || direction == 1;
    t->act = p->activations + 3 * direction;
    t->peepholes = peepholes == NULL ? NULL : peepholes + direction * 3 * s->hidden;
    t->usual = recurrent_is_usual(p, t->act, peepholes);
    t->bf16 = bf16;
    t->starts = recurrent_optional(call, RECURRENT_H0) != NULL;
    const int words =
        call->in[RECURRENT_W].dtype == INGOT_F32 ||
        (RECURRENT_BF16 && bf16 != NULL && s->inputs >= INGOT_HALF_ROUNDED_RUN && s->hidden >= INGOT_HALF_ROUNDED_RUN);
    t->by_units = BY_UNITS && t->usual && t->rows == 1 && s->inputs > 0 && words;
    for (int64_t row = 0; row < t->rows; row++) {
        t->length[row] = lens == NULL ? s->steps : lens[t->first + row];
        if (t->length[row] < 0 || t->length[row] > s->steps) {
            return INGOT_KERNEL_ERR_INDEX;
        }
    }
    recurrent_weights(t, call, plain);
    return INGOT_KERNEL_OK;
}

static int recurrent_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, int plain,
                         const recurrent_bf16 *bf16) {
    recurrent_task tasks[2] = {{.shape = recurrent_f32_shape_of(call)}, {.shape = recurrent_f32_shape_of(call)}};
    const int64_t blocks = tasks[0].shape.blocks;
    uint64_t size = recurrent_layout(&tasks[0].shape, plain, scratch, &tasks[0].buffer);
    recurrent_layout(&tasks[1].shape, plain, (float *)scratch + size, &tasks[1].buffer);
    /* Lockstep hides latency where a step is short; where it is long it would push weights out of the cache. */
    const int small = tasks[0].shape.width * tasks[0].shape.hidden <= RECURRENT_SMALL;
    for (int64_t unit = begin; unit < end; unit++) {
        if (unit >= blocks && unit - blocks >= begin && small) {
            continue; /* done together with the other direction */
        }
        const int both = unit < blocks && unit + blocks < end && small;
        for (int i = 0; i <= both; i++) {
            int status = recurrent_begin(&tasks[i], call, unit / blocks + i, unit % blocks, plain, bf16);
            if (status != INGOT_KERNEL_OK) {
                return status;
            }
        }
        recurrent_sequence(tasks, 1 + both, call);
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(recurrent_f32_n16) { return recurrent_run(call, begin, end, scratch, 0, NULL); }
INGOT_KERNEL_FN(recurrent_f16_n16) { return recurrent_run(call, begin, end, scratch, 0, NULL); }
INGOT_KERNEL_FN(recurrent_bf16_n16k2) { return recurrent_run(call, begin, end, scratch, 0, NULL); }
INGOT_KERNEL_FN(recurrent_f32) { return recurrent_run(call, begin, end, scratch, 1, NULL); }

#if RECURRENT_BF16
int ingot_recurrent_bf16_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                             const recurrent_bf16 *bf16) {
    return recurrent_run(call, begin, end, scratch, 0, bf16);
}
#endif
