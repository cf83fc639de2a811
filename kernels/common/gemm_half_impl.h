/* gemm_half.h for the instruction set of the including file, which defines HALF_ROW_PANELS and
 * HALF_FEW_PANELS: by how many panels one row, and a few of them, are multiplied at a time. */
#include "gemm_half.h"
#include "vec16_half.h"

/* Calls `name` with the element type as a constant, where vectors are short code. */
#ifdef INGOT_ISA_portable
#define HALF_EACH_TYPE(dtype, name, ...) name(dtype, __VA_ARGS__)
#else
#define HALF_EACH_TYPE(dtype, name, ...)                                                                               \
    do {                                                                                                               \
        if ((dtype) == INGOT_F16) {                                                                                    \
            name(INGOT_F16, __VA_ARGS__);                                                                              \
        } else {                                                                                                       \
            name(INGOT_BF16, __VA_ARGS__);                                                                             \
        }                                                                                                              \
    } while (0)
#endif

INGOT_INLINE void half_widen_as(const uint8_t dtype, const uint16_t *from, int64_t from_pitch, float *to,
                                int64_t to_pitch, int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; r++, from += from_pitch, to += to_pitch) {
        int64_t i = 0;
        for (; i + 16 <= columns; i += 16) {
            v16_store(to + i, v16_widen(dtype, from + i));
        }
        if (i < columns) {
            v16_store_n(to + i, v16_widen_n(dtype, from + i, columns - i), columns - i);
        }
    }
}

static void half_widen(uint8_t dtype, const uint16_t *from, int64_t from_pitch, float *to, int64_t to_pitch,
                       int64_t rows, int64_t columns) {
    HALF_EACH_TYPE(dtype, half_widen_as, from, from_pitch, to, to_pitch, rows, columns);
}

INGOT_INLINE void half_narrow_as(const uint8_t dtype, const float *from, int64_t from_pitch, uint16_t *to,
                                 int64_t to_pitch, int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; r++, from += from_pitch, to += to_pitch) {
        int64_t i = 0;
        for (; i + 16 <= columns; i += 16) {
            v16_narrow(dtype, to + i, v16_load(from + i));
        }
        if (i < columns) {
            v16_narrow_n(dtype, to + i, v16_load_n(from + i, columns - i), columns - i);
        }
    }
}

static void half_narrow(uint8_t dtype, const float *from, int64_t from_pitch, uint16_t *to, int64_t to_pitch,
                        int64_t rows, int64_t columns) {
    HALF_EACH_TYPE(dtype, half_narrow_as, from, from_pitch, to, to_pitch, rows, columns);
}

/* Sixteen numbers of a run as floats. */
INGOT_INLINE v16 half_operand(const uint8_t from, const void *run, int64_t at, int64_t count) {
    if (from == INGOT_F32) {
        return v16_load_n((const float *)run + at, count);
    }
    return v16_widen_n(from, (const uint16_t *)run + at, count);
}

INGOT_INLINE void half_rows_as(const uint8_t from, const ingot_half_rows *t) {
    const uintptr_t bytes = (uintptr_t)(t->length * (from == INGOT_F32 ? 4 : 2));
    int64_t rows = t->mr, length = t->length;
    int joined = t->taps == 1 && t->pitch == t->length;
    for (int r = 1; r < t->mr && joined; r++) {
        joined = (uintptr_t)t->rows[r] == (uintptr_t)t->rows[r - 1] + bytes;
    }
    if (joined) { /* rows that lie one behind the other: one long one */
        length *= rows;
        rows = 1;
    }
    for (int64_t r = 0; r < rows; r++) {
        float *to = (float *)t->to + r * t->pitch, *const end = to + t->pitch;
        for (int64_t tap = 0; tap < t->taps; tap++, to += length) {
            const void *run = t->rows[tap * INGOT_GEMM_MR + r];
            int64_t i = 0;
            for (; i + 16 <= length; i += 16) {
                v16_store(to + i, half_operand(from, run, i, 16));
            }
            if (i < length) {
                v16_store_n(to + i, half_operand(from, run, i, length - i), length - i);
            }
        }
        for (; to < end; to++) {
            *to = 0.0f;
        }
    }
}

static void half_rows(const ingot_half_rows *t) {
#ifdef INGOT_ISA_portable
    half_rows_as(t->from, t);
#else
    if (t->from == INGOT_F16) {
        half_rows_as(INGOT_F16, t);
    } else if (t->from == INGOT_BF16) {
        half_rows_as(INGOT_BF16, t);
    } else {
        half_rows_as(INGOT_F32, t);
    }
#endif
}

/* The weights of a step: of the first product, and of the second. */
INGOT_INLINE void half_step(const uint8_t dtype, const uint16_t *w, v16 *first, v16 *second) {
    if (dtype == INGOT_BF16) {
        v16_widen_pairs(w, first, second);
        return;
    }
    *first = v16_widen(dtype, w);
    *second = v16_widen(dtype, w + INGOT_GEMM_NR);
}

INGOT_INLINE void half_weights_as(const uint8_t dtype, const uint16_t *from, int64_t count, float *to) {
    for (int64_t i = 0; i < count; i++, from += INGOT_HALF_BLOCK, to += INGOT_HALF_BLOCK) {
        v16 first, second;
        half_step(dtype, from, &first, &second);
        v16_store(to, first);
        v16_store(to + INGOT_GEMM_NR, second);
    }
}

static void half_weights(uint8_t dtype, const uint16_t *from, int64_t count, float *to) {
    HALF_EACH_TYPE(dtype, half_weights_as, from, count, to);
}

/* One row has two sums for each column, of the first and of the second products of steps, added at the end; of several
 * rows there are sums enough. Rows beyond mr repeat the first. */
INGOT_INLINE void half_few_block(const uint8_t dtype, const ingot_half_sums *t, int64_t panel, const int rows,
                                 const int panels) {
    v16 sum[INGOT_HALF_FEW][HALF_ROW_PANELS][2];
    const int second_sum = rows == 1;
    const uint16_t *w = t->weights + panel * t->panel_stride;
    const float *x[INGOT_HALF_FEW];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        x[r] = t->rows[r < t->mr ? r : 0];
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) {
            sum[r][p][0] = sum[r][p][1] = v16_zero();
        }
    }
    for (int64_t k = 0; k < t->steps; k++, w += INGOT_HALF_BLOCK) {
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) {
            v16 first, second;
            half_step(dtype, w + p * t->panel_stride, &first, &second);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++) {
                v16 *odd = &sum[r][p][second_sum];
                sum[r][p][0] = v16_fma(v16_set1(x[r][2 * k]), first, sum[r][p][0]);
                *odd = v16_fma(v16_set1(x[r][2 * k + 1]), second, *odd);
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) {
            const v16 all = second_sum ? v16_add(sum[r][p][0], sum[r][p][1]) : sum[r][p][0];
            v16_store(t->sums + r * t->pitch + (panel + p) * INGOT_GEMM_NR, all);
        }
    }
}

INGOT_INLINE void half_few_as(const uint8_t dtype, const ingot_half_sums *t) {
    int64_t panel = 0;
    if (t->mr == 1) {
        for (; panel + HALF_ROW_PANELS <= t->panels; panel += HALF_ROW_PANELS) {
            half_few_block(dtype, t, panel, 1, HALF_ROW_PANELS);
        }
        for (; HALF_ROW_PANELS > 1 && panel < t->panels; panel++) {
            half_few_block(dtype, t, panel, 1, 1);
        }
        return;
    }
#ifdef HALF_ROW_BY_ROW
    ingot_half_sums row = *t;
    row.mr = 1;
    for (int32_t r = 0; r < t->mr; r++, row.rows++, row.sums += t->pitch) {
        for (panel = 0; panel < t->panels; panel++) {
            half_few_block(dtype, &row, panel, 1, 1);
        }
    }
#else
    for (; panel + HALF_FEW_PANELS <= t->panels; panel += HALF_FEW_PANELS) {
        half_few_block(dtype, t, panel, INGOT_HALF_FEW, HALF_FEW_PANELS);
    }
    for (; HALF_FEW_PANELS > 1 && panel < t->panels; panel++) {
        half_few_block(dtype, t, panel, INGOT_HALF_FEW, 1);
    }
#endif
}

static void half_few(const ingot_half_sums *t) { HALF_EACH_TYPE(t->dtype, half_few_as, t); }

/* Adds bias and residual to the sums of row r, and applies the activation. */
static void half_add(const ingot_half_finish *t, int r, float *sums) {
    const v16 lo = v16_set1(t->lo), hi = v16_set1(t->hi);
    float widened[INGOT_HALF_SUMS];
    const float *residual = NULL;
    if (t->residual != NULL && t->residual_dtype == INGOT_F32) {
        residual = (const float *)t->residual[r] + t->column;
    } else if (t->residual != NULL) {
        half_widen(t->residual_dtype, (const uint16_t *)t->residual[r] + t->column, 0, widened, 0, 1, t->columns);
        residual = widened;
    }
    for (int64_t j = 0; j < t->columns; j += INGOT_GEMM_NR) {
        const int64_t n = t->columns - j < INGOT_GEMM_NR ? t->columns - j : INGOT_GEMM_NR;
        v16 v = v16_load(sums + j);
        if (t->bias != NULL) {
            v = v16_add(v, v16_load_n(t->bias + t->column + j, n));
        }
        if (residual != NULL) {
            v = v16_add(v, v16_load_n(residual + j, n));
        }
        v16_store(sums + j, v16_min(hi, v16_max(lo, v)));
    }
    if (t->activation != NULL) {
        ingot_activate_f32(t->activation, sums, t->columns);
    }
}

static void half_finish(const ingot_half_finish *t) {
    float *sums = t->sums;
    for (int r = 0; r < t->mr; r++, sums += INGOT_HALF_SUMS) {
        if (!t->stores_only) {
            half_add(t, r, sums);
        }
        if (t->out_dtype == INGOT_F32) {
            memcpy((float *)t->out[r] + t->column, sums, (size_t)t->columns * sizeof *sums);
        } else {
            half_narrow(t->out_dtype, sums, 0, (uint16_t *)t->out[r] + t->column, 0, 1, t->columns);
        }
    }
}

#define HALF_PASTE_(name, isa) name##__##isa
#define HALF_PASTE(name, isa) HALF_PASTE_(name, isa)
const ingot_half_isa HALF_PASTE(ingot_half, INGOT_ISA) = {
    .f32 = &HALF_PASTE(ingot_gemm_f32, INGOT_ISA),
    .rows = half_rows,
    .weights = half_weights,
    .few = half_few,
    .finish = half_finish,
    .widen = half_widen,
    .narrow = half_narrow,
};
