/* The input of softmax seen as [outer][n][inner], and its split into units. */
#ifndef INGOT_SOFTMAX_SHAPE_H
#define INGOT_SOFTMAX_SHAPE_H

#include <string.h>

#include "kernel.h"
#include "softmax/softmax.h"

enum { SOFTMAX_COLUMNS = 64 };

typedef struct softmax_shape {
    int64_t outer, n, inner;
    int64_t grain;  /* inner == 1: rows of a unit */
    int64_t across; /* inner > 1: units that share an outer index */
} softmax_shape;

static inline softmax_shape softmax_shape_of(const ingot_call *call) {
    const ingot_arg *in = &call->in[0];
    const ingot_softmax_params *p = call->params;
    softmax_shape shape = {1, in->dims[p->axis], 1, 1, 1};
    if (in->count == 0) {
        shape.outer = 0;
        return shape;
    }
    for (uint32_t axis = 0; axis < in->rank; axis++) {
        int64_t *side = axis < p->axis ? &shape.outer : &shape.inner;
        *side *= axis == p->axis ? 1 : in->dims[axis];
    }
    shape.grain = shape.n < 4096 ? 4096 / shape.n : 1;
    shape.across = (shape.inner - 1) / SOFTMAX_COLUMNS + 1;
    return shape;
}

static inline int64_t softmax_units(const softmax_shape *shape) {
    if (shape->outer == 0) {
        return 0;
    }
    return shape->inner == 1 ? (shape->outer - 1) / shape->grain + 1 : shape->outer * shape->across;
}

/* Shared by the kernels of all types, in softmax_cpu.c. */
const char *ingot_softmax_check(const ingot_call *call, uint8_t dtype, uint8_t result);
uint32_t ingot_softmax_units(const ingot_call *call);

#endif
