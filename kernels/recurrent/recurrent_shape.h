/* What recurrent works on, and the floats each thread needs. */
#ifndef INGOT_RECURRENT_SHAPE_H
#define INGOT_RECURRENT_SHAPE_H

#include "kernel.h"
#include "recurrent/recurrent.h"

enum {
    RECURRENT_X,
    RECURRENT_W,
    RECURRENT_R,
    RECURRENT_BIAS,
    RECURRENT_LENS,
    RECURRENT_H0,
    RECURRENT_C0,
    RECURRENT_PEEPHOLES,
    RECURRENT_INPUTS
};

enum {
    RECURRENT_BATCH = 8,   /* batch rows of a work unit */
    RECURRENT_AHEAD = 16,  /* rows of x that are multiplied by the weights at a time, ahead of the recurrence */
    RECURRENT_SMALL = 4096 /* recurrent weights of a direction that count as few */
};

typedef struct recurrent_shape {
    int64_t steps, batch, inputs, hidden, directions, gates;
    int64_t padded;  /* hidden, rounded up to 16 */
    int64_t width;   /* gates * padded */
    int64_t ahead;   /* floats of a row that is computed ahead: the gates, and the candidate where it stands apart */
    int64_t blocks;  /* units of one direction */
    int64_t rounded; /* floats of a row that is rounded to bfloat16; 0: weights are of another type */
} recurrent_shape;

static inline const char *recurrent_check_dims(const ingot_arg *arg, uint8_t dtype, int rank, const int64_t *dims) {
    if (arg->dtype != dtype || arg->rank != rank) {
        return "recurrent: an operand of the wrong type or rank";
    }
    for (int axis = 0; axis < rank; axis++) {
        if (arg->dims[axis] != dims[axis]) {
            return "recurrent: an operand of the wrong shape";
        }
    }
    return NULL;
}

/* A check answers when an operand has another type or other extents. */
#define DIMS(...)                                                                                                      \
    (sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) { __VA_ARGS__ }
#define EXPECT(arg, dtype, ...)                                                                                        \
    do {                                                                                                               \
        const char *wrong = recurrent_check_dims(arg, dtype, DIMS(__VA_ARGS__));                                       \
        if (wrong != NULL) return wrong;                                                                               \
    } while (0)

static inline recurrent_shape recurrent_shape_of(const ingot_call *call, uint32_t kind, uint32_t direction) {
    static const int64_t gates[INGOT_RECURRENT_KIND_COUNT] = {1, 3, 4};
    const ingot_arg *x = &call->in[RECURRENT_X], *y = &call->out[0];
    recurrent_shape s = {.steps = x->dims[0], .batch = x->dims[1], .inputs = x->dims[2], .hidden = y->dims[3]};
    s.directions = direction == INGOT_RECURRENT_BIDIRECTIONAL ? 2 : 1;
    s.gates = gates[kind];
    s.padded = (s.hidden + 15) / 16 * 16;
    s.width = s.gates * s.padded;
    s.ahead = s.width;
    s.blocks = (s.batch + RECURRENT_BATCH - 1) / RECURRENT_BATCH;
    return s;
}

/* That of the float kernels. */
static inline recurrent_shape recurrent_f32_shape_of(const ingot_call *call) {
    const ingot_recurrent_params *p = call->params;
    recurrent_shape s = recurrent_shape_of(call, p->kind, p->direction);
    s.ahead += p->kind == INGOT_RECURRENT_GRU && p->linear_before_reset ? s.padded : 0;
    if (call->in[RECURRENT_W].dtype == INGOT_BF16) {
        s.rounded = ((s.inputs > s.hidden ? s.inputs : s.hidden) + 15) / 16 * 8;
    }
    return s;
}

static inline const void *recurrent_optional(const ingot_call *call, uint32_t i) {
    return i < call->in_count && call->in[i].dtype != INGOT_DTYPE_NONE ? call->in[i].data : NULL;
}

/* A thread's scratch for one direction, in this order; the packed weights are there for the plain kernel only. */
typedef struct recurrent_scratch {
    float *ahead;   /* [RECURRENT_AHEAD][ahead]: x W + bias */
    float *gates;   /* [RECURRENT_BATCH][width] */
    float *h, *c;   /* [RECURRENT_BATCH][padded] */
    float *kept;    /* [RECURRENT_BATCH][padded]: GRU: r h; by units: h before the step */
    float *turned;  /* [inputs][RECURRENT_AHEAD / 2]: x of the steps that are computed ahead, by units */
    float *rounded; /* [RECURRENT_BATCH][rounded]: left operands in bfloat16 */
    float *zeros;   /* [width]: where there is no bias */
    float *bias;    /* [2][width] */
    float *w, *r;   /* [width / 16][inputs][16], [width / 16][hidden][16] */
} recurrent_scratch;

/* Lays the arrays out from `base` on and gives their size in floats. */
static inline uint64_t recurrent_layout(const recurrent_shape *s, int plain, float *base, recurrent_scratch *scratch) {
    uint64_t width = (uint64_t)s->width, padded = (uint64_t)s->padded, at = 0;
    struct {
        float **array;
        uint64_t size;
    } arrays[] = {
        {&scratch->ahead, RECURRENT_AHEAD * (uint64_t)s->ahead},
        {&scratch->gates, RECURRENT_BATCH * width},
        {&scratch->h, RECURRENT_BATCH * padded},
        {&scratch->c, RECURRENT_BATCH * padded},
        {&scratch->kept, RECURRENT_BATCH * padded},
        {&scratch->turned, RECURRENT_AHEAD / 2 * (uint64_t)s->inputs},
        {&scratch->rounded, RECURRENT_BATCH * (uint64_t)s->rounded},
        {&scratch->zeros, width},
        {&scratch->bias, 2 * width},
        {&scratch->w, plain ? width * (uint64_t)s->inputs : 0},
        {&scratch->r, plain ? width * (uint64_t)s->hidden : 0},
    };
    for (unsigned i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i].array = base == NULL ? NULL : base + at;
        at += arrays[i].size;
    }
    return at;
}

#endif
