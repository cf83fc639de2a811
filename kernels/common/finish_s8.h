/* The epilogue of the INT8 micro-kernels: what gemm_s8.h says becomes of sums, sixteen columns at a time. */
#ifndef INGOT_FINISH_S8_H
#define INGOT_FINISH_S8_H

#include "gemm_s8.h"
#include "s8_dot.h"

enum { S8_COLUMNS = S8_BYTES / INGOT_S8_STEP }; /* of a vector of sums */

#if defined(INGOT_ISA_portable)

typedef struct s8_lanes {
    int32_t sum[INGOT_GEMM_NR];
} s8_lanes;

S8_INLINE s8_lanes s8_load_lanes(const int32_t *p) {
    s8_lanes lanes;
    memcpy(&lanes, p, sizeof lanes);
    return lanes;
}

/* The columns of a panel: offset undoes what the zero point of the input and the instruction add to each sum. */
typedef struct s8_columns {
    uint32_t offset[INGOT_GEMM_NR];
    float scale[INGOT_GEMM_NR], bias[INGOT_GEMM_NR];
} s8_columns;

S8_INLINE s8_columns s8_read_columns(const ingot_gemm_s8 *t, int64_t first, int64_t count) {
    s8_columns c = {{0}, {0}, {0}};
    for (int64_t j = 0; j < count; j++) {
        c.offset[j] = (uint32_t)t->sums[first + j] * (0u - (uint32_t)(t->input_zero + S8_FLIP));
        c.offset[j] += t->whole_bias != NULL ? (uint32_t)t->whole_bias[first + j] : 0;
        c.scale[j] = t->scale[first + j];
        c.bias[j] = t->bias != NULL ? t->bias[first + j] : 0.0f;
    }
    return c;
}

S8_INLINE s8_columns s8_make_columns(const int32_t *offset, const float *scale, const float *bias) {
    s8_columns c;
    memcpy(c.offset, offset, sizeof c.offset);
    memcpy(c.scale, scale, sizeof c.scale);
    memcpy(c.bias, bias, sizeof c.bias);
    return c;
}

/* What is the same for all sums of a tile. */
typedef struct s8_numbers {
    ingot_requantize requantize;
    float residual_scale;
    int32_t residual_zero;
} s8_numbers;

S8_INLINE s8_numbers s8_read_numbers(const ingot_gemm_s8 *t) {
    return (s8_numbers){t->requantize, t->residual_scale, t->residual_zero};
}

/* The first `count` of sixteen columns of one row; `residual` may be NULL. */
S8_INLINE void s8_finish_row(const s8_numbers *n, const s8_columns *c, s8_lanes lanes, int64_t count, void *out,
                             const int8_t *residual, const int stored) {
    for (int64_t j = 0; j < count; j++) {
        float v = ingot_fma_f32((float)(int32_t)((uint32_t)lanes.sum[j] + c->offset[j]), c->scale[j], c->bias[j]);
        if (residual != NULL) {
            v = ingot_fma_f32((float)(residual[j] - n->residual_zero), n->residual_scale, v);
        }
        if (stored) {
            ((int8_t *)out)[j] = ingot_requantize_s8(&n->requantize, v);
        } else {
            ((float *)out)[j] = ingot_clamp_f32(&n->requantize, v);
        }
    }
}

#else
#include "lanes_s8.h"

#define S8_PACKED /* there are packing instructions */

typedef w16 s8_lanes;
#define s8_load_lanes w16_load

typedef struct s8_columns {
    w16 offset;
    v16 scale, bias;
} s8_columns;

S8_INLINE s8_columns s8_read_columns(const ingot_gemm_s8 *t, int64_t first, int64_t count) {
    const w16 factor = w16_set1(-(t->input_zero + S8_FLIP));
    s8_columns c;
    c.bias = v16_zero();
    if (count == INGOT_GEMM_NR) {
        c.offset = w16_mul(w16_load(t->sums + first), factor);
        c.offset = t->whole_bias != NULL ? w16_add(c.offset, w16_load(t->whole_bias + first)) : c.offset;
        c.scale = v16_load(t->scale + first);
        c.bias = t->bias != NULL ? v16_load(t->bias + first) : c.bias;
    } else {
        c.offset = w16_mul(w16_load_n(t->sums + first, count), factor);
        c.offset = t->whole_bias != NULL ? w16_add(c.offset, w16_load_n(t->whole_bias + first, count)) : c.offset;
        c.scale = v16_load_n(t->scale + first, count);
        c.bias = t->bias != NULL ? v16_load_n(t->bias + first, count) : c.bias;
    }
    return c;
}

S8_INLINE s8_columns s8_make_columns(const int32_t *offset, const float *scale, const float *bias) {
    s8_columns c;
    c.offset = w16_load(offset);
    c.scale = v16_load(scale);
    c.bias = v16_load(bias);
    return c;
}

typedef struct s8_numbers {
    v16 lo, hi, scale, residual_scale;
    w16 zero, residual_zero;
} s8_numbers;

S8_INLINE s8_numbers s8_read_numbers(const ingot_gemm_s8 *t) {
    s8_numbers n;
    n.lo = v16_set1(t->float_out ? t->requantize.lo : t->fast.lo);
    n.hi = v16_set1(t->float_out ? t->requantize.hi : t->fast.hi);
    n.scale = v16_set1(t->fast.scale);
    n.zero = w16_set1(t->fast.zero);
    n.residual_scale = v16_set1(t->residual_scale);
    n.residual_zero = w16_set1(-t->residual_zero);
    return n;
}

S8_INLINE void s8_finish_row(const s8_numbers *n, const s8_columns *c, s8_lanes lanes, int64_t count, void *out,
                             const int8_t *residual, const int stored) {
    v16 v = v16_fma(w16_real(w16_add(lanes, c->offset)), c->scale, c->bias);
    if (residual != NULL) {
        v = v16_fma(w16_real(w16_add(w16_load_bytes(residual, count), n->residual_zero)), n->residual_scale, v);
    }
    if (stored) {
        v = v16_min(n->hi, v16_max(n->lo, v16_mul(v, n->scale)));
        w16_store_bytes(out, w16_add(w16_round(v), n->zero), count);
        return;
    }
    v = v16_one_nan(v16_min(n->hi, v16_max(n->lo, v)));
    if (count == INGOT_GEMM_NR) {
        v16_store(out, v);
    } else {
        v16_store_n(out, v, count);
    }
}

/* What s8_scale_lanes and s8_pack_quarters need: sums to numbers, which may still be too large for bytes; then four
 * times sixteen of them, [quarter of 16][which 16][lane], to bytes in order. */
typedef struct s8_pack_numbers {
    v16 scale;
    w16_bounds bounds;
} s8_pack_numbers;

S8_INLINE s8_pack_numbers s8_read_pack_numbers(const ingot_gemm_s8 *t) {
    const ingot_requantize_fast *q = &t->fast;
    s8_pack_numbers n;
    n.scale = v16_set1(q->scale);
    n.bounds = w16_bounds_of(q->zero, ingot_requantize_bound(q, q->lo), ingot_requantize_bound(q, q->hi));
    return n;
}

S8_INLINE s8_lanes s8_scale_lanes(const s8_pack_numbers *n, const s8_columns *c, s8_lanes lanes) {
    return w16_nearest(v16_mul(v16_fma(w16_real(w16_add(lanes, c->offset)), c->scale, c->bias), n->scale));
}

S8_INLINE void s8_pack_quarters(const s8_pack_numbers *n, const s8_lanes quarter[4], int8_t *out) {
    w16_store_quarters(out, quarter, &n->bounds);
}
#endif

/* A panel's sums; `residual`, `stored` (the result is int8) and, where it is sixteen, `count` are constants. */
S8_INLINE void s8_finish_rows(const ingot_gemm_s8 *t, const int32_t (*sums)[INGOT_GEMM_NR], const s8_columns *columns,
                              int64_t first, int64_t count, const int residual, const int stored) {
    const s8_numbers numbers = s8_read_numbers(t);
    const s8_columns c = *columns;
    const int64_t offset = stored ? first : first * (int64_t)sizeof(float);
    const int32_t rows = t->mr;
    void *const *out = t->out;
    const int8_t *const *from = t->residual;
    for (int32_t r = 0; r < rows; r++) {
        s8_finish_row(&numbers, &c, s8_load_lanes(sums[r]), count, (char *)out[r] + offset,
                      residual ? from[r] + first : NULL, stored);
    }
}

/* The panel that begins at `begin` of the tile's columns. */
static void s8_finish(const ingot_gemm_s8 *t, const int32_t (*sums)[INGOT_GEMM_NR], int64_t begin) {
    const int64_t left = t->columns - begin, first = t->column + begin;
    const int64_t count = left < INGOT_GEMM_NR ? left : INGOT_GEMM_NR;
    const s8_columns c = s8_read_columns(t, first, count);
    if (t->float_out && t->residual != NULL) {
        s8_finish_rows(t, sums, &c, first, count, 1, 0);
    } else if (t->float_out) {
        s8_finish_rows(t, sums, &c, first, count, 0, 0);
    } else if (t->residual != NULL) {
        s8_finish_rows(t, sums, &c, first, count, 1, 1);
    } else if (count < INGOT_GEMM_NR) {
        s8_finish_rows(t, sums, &c, first, count, 0, 1);
    } else {
        s8_finish_rows(t, sums, &c, first, INGOT_GEMM_NR, 0, 1);
    }
}

#endif
