/* The extents of a matrix product, proven to fit together. */
#ifndef INGOT_MATMUL_SHAPE_H
#define INGOT_MATMUL_SHAPE_H

#include <stddef.h>

#include "kernel.h"
#include "matmul.h"

enum { INGOT_MATMUL_A = 0, INGOT_MATMUL_B = 1, INGOT_MATMUL_BIAS = 2, INGOT_MATMUL_RESIDUAL = 3 };
enum { INGOT_MATMUL_BATCH_AXES = INGOT_MAX_RANK - 2 };

typedef struct ingot_matmul_shape {
    int64_t m, n, k, batches;
    int64_t extent[INGOT_MATMUL_BATCH_AXES];   /* of the output's batch axes, aligned to the right */
    int64_t a_stride[INGOT_MATMUL_BATCH_AXES]; /* in matrices; 0 where a broadcasts */
    int64_t b_stride[INGOT_MATMUL_BATCH_AXES];
} ingot_matmul_shape;

/* Matrices before batch axis `axis` (counted from the left of INGOT_MATMUL_BATCH_AXES) of an operand, 0 if it
 * broadcasts along it, or -1 if its extent does not go with the output's. */
static inline int64_t ingot_matmul_stride(const ingot_arg *arg, int axis, int64_t extent) {
    const int own = axis - (INGOT_MATMUL_BATCH_AXES - (arg->rank - 2));
    if (own < 0 || arg->dims[own] == 1) {
        return 0;
    }
    if (arg->dims[own] != extent) {
        return -1;
    }
    int64_t stride = 1;
    for (int i = own + 1; i < arg->rank - 2; i++) {
        stride *= arg->dims[i];
    }
    return stride;
}

/* Reads extents; ranks are at least 2. `packed` b has no batch axes here and n comes from the output. */
static inline const char *ingot_matmul_shape_read(const ingot_call *call, int packed, ingot_matmul_shape *s) {
    const ingot_matmul_params *p = call->params;
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *b = &call->in[INGOT_MATMUL_B], *out = &call->out[0];
    s->m = a->dims[a->rank - (p->trans_a ? 1 : 2)];
    s->k = a->dims[a->rank - (p->trans_a ? 2 : 1)];
    s->n = out->dims[out->rank - 1];
    s->batches = 1;
    if (out->dims[out->rank - 2] != s->m) {
        return "matmul: rows";
    }
    if (!packed &&
        (b->dims[b->rank - (p->trans_b ? 2 : 1)] != s->n || b->dims[b->rank - (p->trans_b ? 1 : 2)] != s->k)) {
        return "matmul: columns or depth";
    }
    if (out->count == 0) { /* extents may be anything beside a zero; their products need not fit */
        s->k = s->batches = 0;
        return NULL;
    }
    if (a->rank > out->rank || (!packed && b->rank > out->rank)) {
        return "matmul: rank";
    }
    for (int i = 0; i < INGOT_MATMUL_BATCH_AXES; i++) {
        const int own = i - (INGOT_MATMUL_BATCH_AXES - (out->rank - 2));
        s->extent[i] = own < 0 ? 1 : out->dims[own];
        s->a_stride[i] = ingot_matmul_stride(a, i, s->extent[i]);
        s->b_stride[i] = packed ? 0 : ingot_matmul_stride(b, i, s->extent[i]);
        if (s->a_stride[i] < 0 || s->b_stride[i] < 0) {
            return "matmul: batch axes";
        }
        s->batches *= s->extent[i];
    }
    return NULL;
}

/* Bias [N] or none, residual like the output or none. */
static inline const char *ingot_matmul_sides_check(const ingot_arg *bias, uint8_t bias_dtype, const ingot_arg *residual,
                                                   uint8_t residual_dtype, const ingot_arg *out) {
    if (bias->dtype != INGOT_DTYPE_NONE &&
        (bias->dtype != bias_dtype || bias->rank != 1 || bias->dims[0] != out->dims[out->rank - 1])) {
        return "matmul: bias";
    }
    if (residual->dtype != INGOT_DTYPE_NONE) {
        if (residual->dtype != residual_dtype || residual->rank != out->rank) {
            return "matmul: residual";
        }
        for (int i = 0; i < out->rank; i++) {
            if (residual->dims[i] != out->dims[i]) {
                return "matmul: residual";
            }
        }
    }
    return NULL;
}

/* Types, ranks, bias, residual and parameters; everything but the extents of a and b. */
static inline const char *ingot_matmul_types_check(const ingot_call *call, uint8_t dtype, uint8_t out_dtype,
                                                   uint8_t bias_dtype) {
    const ingot_matmul_params *p = call->params;
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *b = &call->in[INGOT_MATMUL_B], *out = &call->out[0];
    const ingot_arg *bias = &call->in[INGOT_MATMUL_BIAS], *residual = &call->in[INGOT_MATMUL_RESIDUAL];
    if (a->dtype != dtype || b->dtype != dtype || out->dtype != out_dtype) {
        return "matmul: element type";
    }
    if (p->trans_a > 1 || p->trans_b > 1 || p->reserved != 0 || !ingot_activation_valid(&p->activation)) {
        return "matmul: parameters";
    }
    if (a->rank < 2 || b->rank < 2 || out->rank < 2) {
        return "matmul: rank";
    }
    return ingot_matmul_sides_check(bias, bias_dtype, residual, dtype, out);
}

/* The same where all of them have one type. */
static inline const char *ingot_matmul_operands_check(const ingot_call *call, uint8_t dtype) {
    return ingot_matmul_types_check(call, dtype, dtype, dtype);
}

/* Which matrices of a and b make matrix `batch` of the output. */
static inline void ingot_matmul_batch(const ingot_matmul_shape *s, int64_t batch, int64_t *a, int64_t *b) {
    *a = 0;
    *b = 0;
    for (int i = INGOT_MATMUL_BATCH_AXES - 1; i >= 0; i--) {
        const int64_t index = batch % s->extent[i];
        batch /= s->extent[i];
        *a += index * s->a_stride[i];
        *b += index * s->b_stride[i];
    }
}

#endif
