/* Products whose operands are stored in float16 or bfloat16 and whose arithmetic is float32, shared by convolution,
 * transposed convolution and matrix product.
 *
 * Weights lie in panels of INGOT_GEMM_NR columns, [panel][step][32], where a step is two products of a sum: float16 as
 * [2][16 columns], bfloat16 as [16 columns][2], which is what instructions for it take. The last step of a panel has a
 * zero where the number of products is odd.
 *
 * Where the processor multiplies bfloat16 itself, tiles read operands as they are stored, and rows of float32 are
 * rounded to it first unless their runs are short. Everywhere else the rows of a tile, and the weights of a slice of
 * panels once for all its tiles, are widened in scratch and the float32 micro-kernel does the rest; a few rows read
 * each weight once and widen it in registers. */
#ifndef INGOT_GEMM_HALF_H
#define INGOT_GEMM_HALF_H

#include "gemm_f32.h"
#include "kernel.h"

enum {
    INGOT_HALF_STEP = 2,                                /* products of a step */
    INGOT_HALF_BLOCK = INGOT_GEMM_NR * INGOT_HALF_STEP, /* weights of a step */
    INGOT_HALF_MOST_PANELS = 8,                         /* of a slice */
    INGOT_HALF_FEW = 4,                                 /* rows that are done without widening weights in memory */
    INGOT_HALF_ROUNDED_RUN = 8, /* elements of float32 side by side that are worth rounding for products of bfloat16 */
    INGOT_HALF_SUMS = INGOT_HALF_MOST_PANELS * INGOT_GEMM_NR,
};

/* Rows of a left operand, given as runs of `length` elements, to be written out one after the other. */
typedef struct ingot_half_rows {
    const void *const *rows; /* [taps][INGOT_GEMM_MR] */
    int64_t taps, length;
    void *to; /* [mr][pitch], zeros behind taps * length */
    int64_t pitch;
    int32_t mr;
    uint8_t from; /* what the runs are stored in */
} ingot_half_rows;

/* sums[r][16 p + j] = sum over k of rows[r][k] * weights[p][k][j]. */
typedef struct ingot_half_sums {
    const void *const *rows; /* [taps][INGOT_GEMM_MR]: of bfloat16, or of float for `few` */
    int64_t taps, steps;     /* steps of each run */
    const uint16_t *weights;
    int64_t panel_stride, panels;
    int64_t last; /* columns of the last panel that count, the others may be anything; 0: all */
    float *sums;  /* [mr][pitch] */
    int64_t pitch;
    int32_t mr;
    uint8_t dtype;
} ingot_half_sums;

/* out[r][column + j] = activation(sums[r][j] + bias[column + j] + residual[r][column + j]) */
typedef struct ingot_half_finish {
    float *sums;
    void *const *out;
    const void *const *residual; /* or NULL; may be the same bytes as out */
    const float *bias;           /* or NULL */
    int64_t column, columns;
    float lo, hi;
    const ingot_activation *activation; /* NULL when the clamp does it */
    int32_t mr, stores_only;            /* stores_only: the sums are the results */
    uint8_t out_dtype, residual_dtype;
} ingot_half_finish;

/* The implementations of one instruction set. */
typedef struct ingot_half_isa {
    const ingot_gemm_f32_isa *f32;
    void (*rows)(const ingot_half_rows *rows);                                        /* to float */
    void (*weights)(uint8_t dtype, const uint16_t *blocks, int64_t count, float *to); /* to [2 count][16] */
    void (*few)(const ingot_half_sums *tile);      /* of few rows of floats, one run each */
    void (*finish)(const ingot_half_finish *tile); /* the epilogue */
    /* rows of columns, from and to rows that are a pitch apart */
    void (*widen)(uint8_t dtype, const uint16_t *from, int64_t from_pitch, float *to, int64_t to_pitch, int64_t rows,
                  int64_t columns);
    void (*narrow)(uint8_t dtype, const float *from, int64_t from_pitch, uint16_t *to, int64_t to_pitch, int64_t rows,
                   int64_t columns);
} ingot_half_isa;

/* What an instruction set adds that multiplies bfloat16. */
typedef struct ingot_bf16_dot {
    void (*rows)(const ingot_half_rows *rows); /* to bfloat16 */
    void (*tile)(const ingot_half_sums *tile);
    void (*finish)(const ingot_half_finish *tile);
} ingot_bf16_dot;

extern const ingot_half_isa ingot_half__portable, ingot_half__avx2, ingot_half__avx512, ingot_half__neon;
extern const ingot_bf16_dot ingot_bf16_dot__avx512bf16, ingot_bf16_dot__neonbf16;

/* How a kernel cuts its products into units, as far as scratch depends on it. */
typedef struct ingot_half_cut {
    int64_t depth;        /* products of a sum */
    int64_t run;          /* elements that lie side by side at least */
    int64_t slice_panels; /* at most INGOT_HALF_MOST_PANELS */
    int64_t slices;       /* of all panels */
    int32_t keeps;        /* the widened weights of all slices stay in scratch, not those of the last one alone */
    int32_t few_rows;     /* no tile has more than INGOT_HALF_FEW */
} ingot_half_cut;

uint64_t ingot_half_scratch_size(const ingot_half_cut *cut);

/* A call under way, by one thread. */
typedef struct ingot_half_call {
    const ingot_half_isa *isa;
    ingot_half_cut cut;
    const uint16_t *weights;
    ingot_half_finish finish; /* mr is that of the tile pointed at */
    uint8_t dtype, x_dtype;
    const ingot_bf16_dot *dot; /* NULL: operands are widened */
    const void *const *rows;
    int64_t taps, length; /* runs, and elements of each: float, or bfloat16 for `dot` */
    int64_t skip;         /* products of a panel before those of the tile: whole steps */
    const void *gathered[INGOT_GEMM_MR];
    void *out[INGOT_GEMM_MR];
    const void *residual[INGOT_GEMM_MR];
    float *rows_at, *sums_at, *residual_at, *widened_at;
    uint8_t *done; /* which slices are widened */
    int64_t held;  /* the slice that is, where one is kept */
} ingot_half_call;

/* Operands in the order that convolutions and products have: x, weights, bias, residual. */
void ingot_half_begin(ingot_half_call *half, const ingot_half_isa *isa, const ingot_bf16_dot *dot,
                      const ingot_call *call, const ingot_activation *activation, const ingot_half_cut *cut,
                      void *scratch);
/* The rows of a tile. `rows` stay as they are until the next one. */
void ingot_half_point(ingot_half_call *half, const void *const *rows, int64_t taps, int64_t length, int64_t mr);
/* The panels from `panel` on (of all), as many as `columns` need, for columns of the result from `column` on. */
void ingot_half_slice(ingot_half_call *half, int64_t slice, int64_t panel, int64_t column, int64_t columns);

static inline int ingot_is_half(uint8_t dtype) { return dtype == INGOT_F16 || dtype == INGOT_BF16; }

/* Bytes of an element that is float or half. */
static inline int64_t ingot_half_size(uint8_t dtype) { return dtype == INGOT_F32 ? 4 : 2; }

/* The rows of the tile lie in rows `row`, row + step, ... of the result. */
static inline void ingot_half_place(ingot_half_call *half, const ingot_call *call, int64_t row, int64_t step,
                                    int64_t count) {
    const ingot_arg *out = &call->out[0], *residual = &call->in[3];
    const int64_t out_step = out->pitch * ingot_half_size(out->dtype);
    const int64_t residual_step = residual->pitch * ingot_half_size(residual->dtype);
    char *to = (char *)out->data + row * out_step;
    for (int64_t r = 0; r < count; r++, to += step * out_step) {
        half->out[r] = to;
    }
    for (int64_t r = 0; r < (residual->data != NULL ? count : 0); r++) {
        half->residual[r] = (const char *)residual->data + (row + r * step) * residual_step;
    }
}

/* NULL when types go together: weights of half, everything else of the same or float32, the bias float32. */
const char *ingot_half_types_check(const ingot_call *call);

/* Steps of a panel. */
static inline int64_t ingot_half_steps(int64_t depth) { return (depth + INGOT_HALF_STEP - 1) / INGOT_HALF_STEP; }

#endif
