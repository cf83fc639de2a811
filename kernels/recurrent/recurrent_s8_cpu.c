/* recurrent_s8_n16k4: checks, and the way through time. A unit is a direction and up to RECURRENT_BATCH batch rows; the
 * product with x is made for several steps at a time, that with h a step at a time. */
#include <string.h>

#include "recurrent/recurrent_s8_impl.h"
#include "recurrent/recurrent_s8_product.h"

enum { X, W, R, BIAS, H0, C0, SUMS, SCALE, INPUTS };

enum { OF_W, OF_R }; /* the second axis of sums, scales and bias */

static const char *check(const ingot_call *call) {
    const ingot_recurrent_s8_params *p = call->params;
    const ingot_arg *in = call->in, *out = call->out;
    if (p->kind >= INGOT_RECURRENT_KIND_COUNT || p->direction >= INGOT_RECURRENT_DIRECTION_COUNT ||
        p->linear_before_reset > 1 || p->reserved != 0) {
        return "recurrent: a kind, direction or flag out of range";
    }
    if (p->input_zero < -128 || p->input_zero > 127 || p->output_zero < -128 || p->output_zero > 127 ||
        !(p->inverse_scale > 0.0f) || !(p->inverse_scale < __builtin_inff()) || !(p->fine >= 0.0f) ||
        !(p->fine < __builtin_inff())) {
        return "recurrent: quantisation";
    }
    if (in[X].rank != 3 || out[0].rank != 4 || out[0].dims[3] < 1 || out[0].dims[3] > INT32_MAX ||
        in[X].dims[1] > INT32_MAX || in[X].dims[2] > INT32_MAX) {
        return "recurrent: x or Y of the wrong rank, an empty state, or a batch or input that is too large";
    }
    const recurrent_shape s = recurrent_shape_of(call, p->kind, p->direction);
    const int64_t panels = s.width / 16;
    EXPECT(&in[X], p->fine > 0.0f ? INGOT_F32 : INGOT_I8, s.steps, s.batch, s.inputs);
    EXPECT(&in[W], INGOT_I8, s.directions, panels, ingot_s8_padded(s.inputs) / INGOT_S8_STEP, INGOT_S8_BLOCK);
    EXPECT(&in[R], INGOT_I8, s.directions, panels, ingot_s8_padded(s.hidden) / INGOT_S8_STEP, INGOT_S8_BLOCK);
    EXPECT(&in[BIAS], INGOT_F32, s.directions, 2, s.width);
    EXPECT(&in[SUMS], INGOT_I32, s.directions, 2, s.width);
    EXPECT(&in[SCALE], INGOT_F32, s.directions, 2, s.width);
    for (int i = H0; i <= C0; i++) {
        if (in[i].dtype != INGOT_DTYPE_NONE) {
            EXPECT(&in[i], INGOT_F32, s.directions, s.batch, s.hidden);
        }
    }
    EXPECT(&out[0], out[0].dtype == INGOT_I8 ? INGOT_I8 : INGOT_F32, s.steps, s.directions, s.batch, s.hidden);
    EXPECT(&out[1], INGOT_F32, s.directions, s.batch, s.hidden);
    if (call->out_count > 2) {
        if (p->kind != INGOT_RECURRENT_LSTM) {
            return "recurrent: only LSTM has a third output";
        }
        EXPECT(&out[2], INGOT_F32, s.directions, s.batch, s.hidden);
    }
    return NULL;
}

static recurrent_shape shape_of(const ingot_call *call) {
    const ingot_recurrent_s8_params *p = call->params;
    return recurrent_shape_of(call, p->kind, p->direction);
}

static uint32_t units(const ingot_call *call) {
    const recurrent_shape s = shape_of(call);
    return (uint32_t)(s.directions * s.blocks);
}

static int64_t whole_lanes(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/* A thread's scratch, in this order. */
typedef struct s8_scratch {
    float *ahead;         /* [RECURRENT_AHEAD][width] */
    int32_t *sums;        /* [RECURRENT_BATCH][width] */
    float *gates;         /* [RECURRENT_BATCH][width] */
    float *h, *c;         /* [RECURRENT_BATCH][padded] */
    float *real;          /* [inputs, whole lanes]: a row of x in float32 */
    int8_t *parts, *kept; /* [RECURRENT_BATCH][2][padded] */
    int8_t *x;            /* [RECURRENT_AHEAD][inputs, whole lanes]: rows that are no whole steps, or both parts */
} s8_scratch;

static uint64_t layout(const recurrent_shape *s, char *base, s8_scratch *scratch) {
    const uint64_t width = (uint64_t)s->width, padded = (uint64_t)s->padded;
    uint64_t at = 0;
    struct {
        void *array;
        uint64_t size;
    } arrays[] = {
        {&scratch->ahead, RECURRENT_AHEAD * width * sizeof(float)},
        {&scratch->sums, RECURRENT_BATCH * width * sizeof(int32_t)},
        {&scratch->gates, RECURRENT_BATCH * width * sizeof(float)},
        {&scratch->h, RECURRENT_BATCH * padded * sizeof(float)},
        {&scratch->c, RECURRENT_BATCH * padded * sizeof(float)},
        {&scratch->real, (uint64_t)whole_lanes(s->inputs) * sizeof(float)},
        {&scratch->parts, RECURRENT_BATCH * 2 * padded},
        {&scratch->kept, RECURRENT_BATCH * 2 * padded},
        {&scratch->x, RECURRENT_AHEAD * (uint64_t)whole_lanes(s->inputs)},
    };
    for (unsigned i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        char *array = base == NULL ? NULL : base + at;
        memcpy(arrays[i].array, &array, sizeof array);
        at += arrays[i].size;
    }
    return at;
}

static uint64_t scratch_size(const ingot_call *call) {
    const recurrent_shape s = shape_of(call);
    s8_scratch scratch;
    return layout(&s, NULL, &scratch);
}

typedef struct s8_task {
    const ingot_recurrent_s8_params *params;
    const recurrent_s8_isa *isa;
    recurrent_shape shape;
    s8_scratch buffer;
    int64_t direction, first, rows;
    int reverse;
    ingot_gemm_s8 of_x;                           /* the product with x in int8, all but its rows */
    recurrent_s8_product fine_x, of_h;            /* that with x in float32 and that with h, likewise */
    const float *x_scale, *x_bias, *scale, *bias; /* [width]: of the product with x, and of that with h */
    ingot_requantize y, state;
} s8_task;

/* A product with all columns of W or of R, but for its row. */
static recurrent_s8_product product_of(const ingot_call *call, const recurrent_shape *s, int64_t direction, int which) {
    const ingot_arg *w = &call->in[which == OF_W ? W : R];
    return (recurrent_s8_product){
        .weights = (const int8_t *)w->data + direction * s->width * w->dims[2] * INGOT_S8_STEP,
        .sums = (const int32_t *)call->in[SUMS].data + (2 * direction + which) * s->width,
        .stride = whole_lanes(which == OF_W ? s->inputs : s->hidden),
        .steps = w->dims[2],
        .panels = s->width / INGOT_GEMM_NR,
    };
}

/* Sums of `count` rows of fifteen bits over the columns [column, column + columns). */
static void multiply(const s8_task *t, const recurrent_s8_product *all, const int8_t *x, int64_t count, int64_t column,
                     int64_t columns) {
    for (int64_t i = 0; i < count; i++) {
        recurrent_s8_product one = *all;
        one.x = x + 2 * i * all->stride;
        one.weights += column * all->steps * INGOT_S8_STEP;
        one.sums += column;
        one.out = t->buffer.sums + i * t->shape.width + column;
        one.panels = columns / INGOT_GEMM_NR;
        t->isa->product(&one);
    }
}

static int64_t time_of(const s8_task *t, int64_t step) { return t->reverse ? t->shape.steps - 1 - step : step; }

/* Row `step` of batch row `row` of x, in elements. */
static int64_t row_of(const s8_task *t, int64_t step, int64_t row) {
    return (time_of(t, step) * t->shape.batch + t->first + row) * t->shape.inputs;
}

/* ahead[step - from][row] = (x - zero) W * scale + bias for the steps [from, from + steps). */
static void look_ahead(const s8_task *t, const int8_t *x, int64_t from, int64_t steps) {
    const recurrent_shape *s = &t->shape;
    const void *in[RECURRENT_AHEAD];
    void *out[RECURRENT_AHEAD];
    const int64_t whole = ingot_s8_padded(s->inputs), count = steps * t->rows;
    for (int64_t i = 0; i < count; i++) {
        in[i] = x + row_of(t, from + i / t->rows, i % t->rows);
        out[i] = t->buffer.ahead + i * s->width;
        if (whole != s->inputs) {
            int8_t *copy = t->buffer.x + i * whole;
            memset(copy + whole - INGOT_S8_STEP, 0, INGOT_S8_STEP);
            memcpy(copy, in[i], (size_t)s->inputs);
            in[i] = copy;
        }
    }
    ingot_gemm_s8 tile = t->of_x;
    for (int64_t i = 0; i < count; i += tile.mr) {
        const int64_t tiles = (count - i + INGOT_GEMM_MR - 1) / INGOT_GEMM_MR;
        tile.mr = (int32_t)((count - i + tiles - 1) / tiles);
        tile.rows = in + i;
        tile.out = out + i;
        t->isa->tile(&tile);
    }
}

/* The same for x in float32. */
static void look_ahead_fine(const s8_task *t, const float *x, int64_t from, int64_t steps) {
    const recurrent_shape *s = &t->shape;
    const s8_scratch *b = &t->buffer;
    const int64_t stride = whole_lanes(s->inputs), count = steps * t->rows;
    memset(b->real, 0, (size_t)stride * sizeof *b->real);
    for (int64_t i = 0; i < count; i++) {
        memcpy(b->real, x + row_of(t, from + i / t->rows, i % t->rows), (size_t)s->inputs * sizeof *x);
        t->isa->cells->split(b->real, t->params->fine, stride, t->isa->wide, b->x + 2 * i * stride);
    }
    multiply(t, &t->fine_x, b->x, count, 0, s->width);
    for (int64_t i = 0; i < count; i++) {
        const recurrent_s8_sums sums = {b->sums + i * s->width, t->x_scale, t->x_bias};
        t->isa->cells->sum(&sums, s->width, b->ahead + i * s->width);
    }
}

/* The gates [column, column + columns) of all rows, from the parts of a state. A candidate that the reset gate comes to
 * later has its own bias. */
static void gates(const s8_task *t, const float *ahead, const int8_t *parts, int64_t column, int64_t columns) {
    const recurrent_shape *s = &t->shape;
    const int64_t apart = t->params->kind == INGOT_RECURRENT_GRU && t->params->linear_before_reset ? s->padded : 0;
    const int64_t joined = columns - apart, alone = column + joined;
    multiply(t, &t->of_h, parts, t->rows, column, columns);
    for (int64_t row = 0; row < t->rows; row++) {
        const int32_t *sum = t->buffer.sums + row * s->width;
        float *to = t->buffer.gates + row * s->width;
        const recurrent_s8_sums with_x = {sum + column, t->scale + column, ahead + row * s->width + column};
        const recurrent_s8_sums without = {sum + alone, t->scale + alone, t->bias + alone};
        t->isa->cells->sum(&with_x, joined, to + column);
        t->isa->cells->sum(&without, apart, to + alone);
    }
}

/* What the batch rows do; `ahead` is that of the first. */
static void cells(const s8_task *t, const float *ahead, int8_t *parts, recurrent_s8_step step) {
    const recurrent_shape *s = &t->shape;
    const s8_scratch *b = &t->buffer;
    for (int64_t row = 0; row < t->rows; row++) {
        const recurrent_s8_row one = {
            .gates = b->gates + row * s->width,
            .ahead = ahead + row * s->width,
            .h = b->h + row * s->padded,
            .c = b->c + row * s->padded,
            .parts = parts + 2 * row * s->padded,
            .padded = s->padded,
            .wide = t->isa->wide,
        };
        t->isa->cells->step(&one, step);
    }
}

static void step_all(const s8_task *t, const float *ahead) {
    const recurrent_shape *s = &t->shape;
    int8_t *parts = t->buffer.parts, *kept = t->buffer.kept;
    if (t->params->kind != INGOT_RECURRENT_GRU || t->params->linear_before_reset) {
        gates(t, ahead, parts, 0, s->width);
        cells(t, ahead, parts,
              t->params->kind == INGOT_RECURRENT_LSTM  ? RECURRENT_S8_LSTM
              : t->params->kind == INGOT_RECURRENT_GRU ? RECURRENT_S8_GRU_AFTER
                                                       : RECURRENT_S8_RNN);
        return;
    }
    gates(t, ahead, parts, 0, 2 * s->padded);
    cells(t, ahead, kept, RECURRENT_S8_GRU_RESET);
    gates(t, ahead, kept, 2 * s->padded, s->padded);
    cells(t, ahead, parts, RECURRENT_S8_GRU);
}

/* A [D, B, H] state into the padded rows; no source means zero. */
static void load(const s8_task *t, float *to, const float *from) {
    const recurrent_shape *s = &t->shape;
    memset(to, 0, (size_t)(t->rows * s->padded) * sizeof *to);
    for (int64_t row = 0; row < t->rows && from != NULL; row++) {
        memcpy(to + row * s->padded, from + (t->direction * s->batch + t->first + row) * s->hidden,
               (size_t)s->hidden * sizeof *to);
    }
}

/* The padded rows into row `block` of a result [.., B, H]. */
static void save(const s8_task *t, const ingot_requantize *how, const ingot_arg *to, int64_t block, const float *from) {
    const recurrent_shape *s = &t->shape;
    for (int64_t row = 0; row < t->rows; row++) {
        const int64_t at = (block * s->batch + t->first + row) * s->hidden;
        t->isa->store(how, to->dtype, (char *)to->data + at * ingot_s8_result_size(to->dtype), from + row * s->padded,
                      s->hidden);
    }
}

static void sequence(const s8_task *t, const ingot_call *call) {
    const recurrent_shape *s = &t->shape;
    const s8_scratch *b = &t->buffer;
    const int fine = t->params->fine > 0.0f;
    const int64_t most = (fine ? RECURRENT_BATCH : RECURRENT_AHEAD) / t->rows;
    load(t, b->h, call->in[H0].data);
    load(t, b->c, call->in[C0].data);
    for (int64_t row = 0; row < t->rows; row++) {
        t->isa->cells->split(b->h + row * s->padded, RECURRENT_S8_STATE, s->padded, t->isa->wide,
                             b->parts + 2 * row * s->padded);
    }
    for (int64_t step = 0; step < s->steps; step++) {
        const int64_t slot = step % most;
        if (slot == 0) {
            const int64_t steps = s->steps - step < most ? s->steps - step : most;
            if (fine) {
                look_ahead_fine(t, call->in[X].data, step, steps);
            } else {
                look_ahead(t, call->in[X].data, step, steps);
            }
        }
        step_all(t, b->ahead + slot * t->rows * s->width);
        save(t, &t->y, &call->out[0], time_of(t, step) * s->directions + t->direction, b->h);
    }
    save(t, &t->state, &call->out[1], t->direction, b->h);
    if (call->out_count > 2) {
        save(t, &t->state, &call->out[2], t->direction, b->c);
    }
}

int ingot_recurrent_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const recurrent_s8_isa *isa) {
    const ingot_recurrent_s8_params *p = call->params;
    const ingot_s8_scales zero = {0.0, 0.0, 0, 0}, stored = {0.0, 0.0, 0, p->output_zero};
    s8_task t = {.params = p, .isa = isa, .shape = shape_of(call)};
    const recurrent_shape *s = &t.shape;
    layout(s, scratch, &t.buffer);
    t.y = ingot_s8_result(&stored, p->inverse_scale);
    t.state = ingot_s8_result(&zero, 1.0f);
    for (int64_t unit = begin; unit < end; unit++) {
        t.direction = unit / s->blocks;
        t.first = unit % s->blocks * RECURRENT_BATCH;
        t.rows = s->batch - t.first < RECURRENT_BATCH ? s->batch - t.first : RECURRENT_BATCH;
        t.reverse = p->direction == INGOT_RECURRENT_REVERSE || t.direction == 1;
        const float *scales = (const float *)call->in[SCALE].data + 2 * t.direction * s->width;
        const float *biases = (const float *)call->in[BIAS].data + 2 * t.direction * s->width;
        t.scale = scales + s->width;
        t.bias = biases + s->width;
        t.x_scale = scales;
        t.x_bias = biases;
        t.fine_x = product_of(call, s, t.direction, OF_W);
        t.of_h = product_of(call, s, t.direction, OF_R);
        t.of_x = (ingot_gemm_s8){
            .taps = 1,
            .steps = t.fine_x.steps,
            .weights = t.fine_x.weights,
            .panel_stride = t.fine_x.steps * INGOT_S8_BLOCK,
            .sums = t.fine_x.sums,
            .scale = scales,
            .bias = biases,
            .columns = s->width,
            .input_zero = p->input_zero,
            .float_out = 1,
            .requantize = t.state,
        };
        sequence(&t, call);
    }
    return INGOT_KERNEL_OK;
}

INGOT_RECURRENT_S8_KERNEL(portable)

const ingot_family ingot_family_recurrent_s8_n16k4 = {
    .params_size = sizeof(ingot_recurrent_s8_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = INPUTS,
    .in_max = INPUTS,
    .out_min = 2,
    .out_max = 3,
    .check = check,
    .units = units,
    .scratch_size = scratch_size,
};
