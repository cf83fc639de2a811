/* What attention works on, and the floats each thread needs. */
#ifndef INGOT_ATTENTION_SHAPE_H
#define INGOT_ATTENTION_SHAPE_H

#include "attention/attention.h"
#include "gemm_f32.h"
#include "kernel.h"

enum {
    ATTENTION_ROWS = 60,  /* query rows of a work unit */
    ATTENTION_PACKED = 4, /* from this many query rows on k and v are packed into panels */
};

typedef struct attention_operand {
    int64_t rows, heads, width, batch_step, head_step, row_step;
} attention_operand;

typedef struct attention_shape {
    attention_operand q, k, v, out;
    int64_t batch, blocks; /* units of one head */
    int64_t padded;        /* key rows, rounded up to 16 */
    int64_t packs;         /* whether k and v are packed */
} attention_shape;

/* An operand of rank 4. Its rows are `pitch` apart. */
static inline attention_operand attention_operand_of(const ingot_arg *arg, int rows_first) {
    attention_operand o = {.rows = arg->dims[rows_first ? 1 : 2], .heads = arg->dims[rows_first ? 2 : 1]};
    o.width = arg->dims[3];
    if (arg->count > 0) { /* extents of an empty operand are bounded by nothing */
        o.batch_step = o.rows * o.heads * arg->pitch;
        o.head_step = rows_first ? arg->pitch : o.rows * arg->pitch;
        o.row_step = rows_first ? o.heads * arg->pitch : arg->pitch;
    }
    return o;
}

/* How often `part` goes into `whole`; -1, which no extent is, unless it does exactly. */
static inline int64_t attention_share(int64_t whole, int64_t part) {
    return part > 0 && whole % part == 0 ? whole / part : -1;
}

/* An operand of rank 3, whose heads lie side by side. */
static inline attention_operand attention_joined(const ingot_arg *arg, int64_t heads, int64_t width) {
    attention_operand o = {.rows = arg->dims[1], .heads = heads, .width = width};
    if (arg->count > 0) {
        o.batch_step = o.rows * arg->pitch;
        o.head_step = width;
        o.row_step = arg->pitch;
    }
    return o;
}

static inline attention_shape attention_shape_of(const ingot_call *call) {
    const ingot_attention_params *p = call->params;
    const ingot_arg *q = &call->in[0], *k = &call->in[1], *v = &call->in[2];
    attention_shape s = {.out = attention_operand_of(&call->out[0], p->rows_first & INGOT_ATTENTION_OUT_ROWS_FIRST)};
    s.q = q->rank == 3 ? attention_joined(q, s.out.heads, attention_share(q->dims[2], s.out.heads))
                       : attention_operand_of(q, p->rows_first & INGOT_ATTENTION_Q_ROWS_FIRST);
    s.k = k->rank == 3 ? attention_joined(k, attention_share(k->dims[2], s.q.width), s.q.width)
                       : attention_operand_of(k, p->rows_first & INGOT_ATTENTION_K_ROWS_FIRST);
    s.v = v->rank == 3 ? attention_joined(v, s.k.heads, attention_share(v->dims[2], s.k.heads))
                       : attention_operand_of(v, p->rows_first & INGOT_ATTENTION_V_ROWS_FIRST);
    s.batch = call->in[0].dims[0];
    if (call->out[0].count == 0) {
        s.batch = 0;
        return s;
    }
    s.blocks = (s.q.rows - 1) / ATTENTION_ROWS + 1;
    s.padded = (s.k.rows - 1) / 16 * 16 + 16;
    s.packs = s.q.rows >= ATTENTION_PACKED;
    return s;
}

/* Units of work: ATTENTION_ROWS queries of a head each. */
static inline uint32_t attention_units(const ingot_call *call) {
    const attention_shape s = attention_shape_of(call);
    return (uint32_t)(s.batch * s.q.heads * s.blocks);
}

/* Why the operands do not fit together, or NULL; `takes` says which element types there are kernels for. */
static inline const char *attention_check(const ingot_call *call, int (*takes)(uint8_t dtype)) {
    const ingot_attention_params *p = call->params;
    const ingot_arg *q = &call->in[0], *k = &call->in[1], *v = &call->in[2], *out = &call->out[0];
    for (uint32_t i = 0; i < 3; i++) {
        const int joined = call->in[i].rank == 3 && (p->rows_first >> i & 1);
        if (!takes(call->in[i].dtype) || (call->in[i].rank != 4 && !joined)) {
            return "attention: an operand of the wrong type or rank";
        }
    }
    if (!takes(out->dtype) || out->rank != 4) {
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
        if (!takes(mask->dtype) || mask->rank != 4 || mask->dims[3] != s.k.rows) {
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

/* Where the mask's row for a query begins, in elements; -1 without a mask. */
static inline int64_t attention_mask_at(const ingot_call *call, int64_t batch, int64_t head, int64_t row) {
    if (call->in_count < 4 || call->in[3].dtype == INGOT_DTYPE_NONE) {
        return -1;
    }
    const ingot_arg *mask = &call->in[3];
    int64_t at = mask->dims[0] == 1 ? 0 : batch;
    at = at * mask->dims[1] + (mask->dims[1] == 1 ? 0 : head);
    at = at * mask->dims[2] + (mask->dims[2] == 1 ? 0 : row);
    return at * mask->pitch;
}

/* Columns that a row sees. */
static inline int64_t attention_visible(const ingot_attention_params *p, int64_t row, int64_t keys) {
    if (!p->causal || p->diagonal >= keys - 1 - row) {
        return keys;
    }
    return row + p->diagonal + 1 > 0 ? row + p->diagonal + 1 : 0;
}

/* A row of `n` scores, times `scale`, becomes exponentials; gives their sum. */
typedef float (*attention_row_fn)(const ingot_attention_params *p, float *scores, float scale, const float *mask,
                                  int64_t n);
float ingot_attention_row__portable(const ingot_attention_params *p, float *scores, float scale, const float *mask,
                                    int64_t n);
float ingot_attention_row__avx2(const ingot_attention_params *p, float *scores, float scale, const float *mask,
                                int64_t n);
float ingot_attention_row__avx512(const ingot_attention_params *p, float *scores, float scale, const float *mask,
                                  int64_t n);
float ingot_attention_row__neon(const ingot_attention_params *p, float *scores, float scale, const float *mask,
                                int64_t n);

typedef struct attention_scratch {
    float *scores; /* [INGOT_GEMM_MR][padded] */
    float *q;      /* [INGOT_GEMM_MR][width of q], scaled */
    float *k, *v;  /* panels [.. / 16][width of k][16] of k^T, [.. / 16][key rows][16] of v */
} attention_scratch;

/* Lays the arrays out from `base` on and gives their size in floats. */
static inline int64_t attention_layout(const attention_shape *s, float *base, attention_scratch *scratch) {
    int64_t scores = INGOT_GEMM_MR * s->padded, q = (INGOT_GEMM_MR * s->q.width + 15) / 16 * 16;
    int64_t k = s->packs ? s->padded * s->k.width : 0, v = s->packs ? (s->v.width + 15) / 16 * 16 * s->k.rows : 0;
    if (base != NULL) {
        *scratch = (attention_scratch){base, base + scores, base + scores + q, base + scores + q + k};
    }
    return scores + q + k + v;
}

#endif
