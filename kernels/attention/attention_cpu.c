/* attention: its check. */
#include "attention/attention_impl.h"

static const char *check(const ingot_call *call) {
    const ingot_attention_params *p = call->params;
    const ingot_arg *q = &call->in[0], *k = &call->in[1], *v = &call->in[2], *out = &call->out[0];
    for (uint32_t i = 0; i < 3; i++) {
        if (call->in[i].dtype != INGOT_F32 || call->in[i].rank != 4) {
            return "attention: an operand of the wrong type or rank";
        }
    }
    if (out->dtype != INGOT_F32 || out->rank != 4) {
        return "attention: an output of the wrong type or rank";
    }
    if (p->causal > 1 || p->rows_first > 15 || !(p->softcap >= 0.0f) || p->diagonal < -INT32_MAX ||
        p->diagonal > INT32_MAX) {
        return "attention: a flag, cap or diagonal out of range";
    }
    if (q->dims[0] != k->dims[0] || q->dims[0] != v->dims[0] || q->dims[0] != out->dims[0]) {
        return "attention: operands differ in batch";
    }
    const attention_shape s = attention_shape_of(call);
    if (s.k.heads != s.v.heads || s.out.heads != s.q.heads || s.k.heads < 1 || s.q.heads % s.k.heads != 0) {
        return "attention: heads do not fit";
    }
    if (s.q.width != s.k.width || s.out.width != s.v.width || s.k.rows != s.v.rows || s.out.rows != s.q.rows) {
        return "attention: rows or widths do not fit";
    }
    if (out->count == 0) {
        return NULL;
    }
    if (k->count == 0 || q->count == 0 || s.k.rows > INT32_MAX || s.q.rows > INT32_MAX) {
        return "attention: no keys, or too many rows";
    }
    if (call->in_count > 3 && call->in[3].dtype != INGOT_DTYPE_NONE) {
        const ingot_arg *mask = &call->in[3];
        const int64_t full[3] = {s.batch, s.q.heads, s.q.rows};
        if (mask->dtype != INGOT_F32 || mask->rank != 4 || mask->dims[3] != s.k.rows) {
            return "attention: a mask of the wrong type, rank or width";
        }
        for (int axis = 0; axis < 3; axis++) {
            if (mask->dims[axis] != 1 && mask->dims[axis] != full[axis]) {
                return "attention: the mask does not broadcast";
            }
        }
    }
    return s.batch * s.q.heads * s.blocks > UINT32_MAX ? "attention: too large" : NULL;
}

static uint32_t units(const ingot_call *call) {
    const attention_shape s = attention_shape_of(call);
    return (uint32_t)(s.batch * s.q.heads * s.blocks);
}

static uint64_t scratch_size(const ingot_call *call) {
    const attention_shape s = attention_shape_of(call);
    attention_scratch scratch;
    return s.batch == 0 ? 0 : (uint64_t)attention_layout(&s, NULL, &scratch) * sizeof(float);
}

const ingot_family ingot_family_attention_f32 = {
    .params_size = sizeof(ingot_attention_params),
    .in_min = 3,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = units,
    .scratch_size = scratch_size,
};
