/* What normalize works on, and its split into units. */
#ifndef INGOT_NORMALIZE_SHAPE_H
#define INGOT_NORMALIZE_SHAPE_H

#include <math.h>
#include <string.h>

#include "kernel.h"
#include "normalize/normalize.h"

enum { NORMALIZE_BLOCK = 4096 }; /* elements of a row that are summed in its own type */

/* LAYER, RMS: `outer` rows of `inner` elements, `grain` rows a unit. GROUP: `outer` images of [rows][inner], of which a
 * unit does `block` channels: whole groups, and enough channels to fill vectors. */
typedef struct normalize_shape {
    int64_t outer, inner, grain;
    int64_t rows, of_group, block, blocks;
} normalize_shape;

static inline normalize_shape normalize_shape_of(const ingot_call *call) {
    const ingot_normalize_params *p = call->params;
    const ingot_arg *x = &call->in[0];
    normalize_shape shape = {.outer = 1, .inner = 1, .grain = 1, .rows = 1, .of_group = 1, .block = 1, .blocks = 1};
    if (x->count == 0) {
        shape.outer = 0;
        return shape;
    }
    if (p->kind != INGOT_NORMALIZE_GROUP) {
        for (uint32_t axis = 0; axis < x->rank; axis++) {
            int64_t *side = axis < p->axis ? &shape.outer : &shape.inner;
            *side *= x->dims[axis];
        }
        shape.grain = shape.inner < 4096 ? 4096 / shape.inner : 1;
        return shape;
    }
    shape.outer = x->dims[0];
    shape.inner = x->dims[x->rank - 1];
    shape.rows = x->count / shape.outer / shape.inner;
    shape.of_group = shape.inner / p->groups;
    shape.block = shape.of_group >= 64 ? shape.of_group : 64 / shape.of_group * shape.of_group;
    shape.blocks = (shape.inner - 1) / shape.block + 1;
    return shape;
}

static inline void *normalize_optional_in(const ingot_call *call, uint32_t i) {
    return i < call->in_count && call->in[i].dtype != INGOT_DTYPE_NONE ? call->in[i].data : NULL;
}

static inline void *normalize_optional_out(const ingot_call *call, uint32_t i) {
    return i < call->out_count && call->out[i].dtype != INGOT_DTYPE_NONE ? call->out[i].data : NULL;
}

/* Shared by the kernels of all types, in normalize_cpu.c. */
const char *ingot_normalize_check(const ingot_call *call, uint8_t dtype, uint8_t factors, uint8_t result);
uint32_t ingot_normalize_units(const ingot_call *call);
uint64_t ingot_normalize_scratch_size(const ingot_call *call);

#endif
