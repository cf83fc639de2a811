/* recurrent_s8_n16k4: RNN, GRU and LSTM with the usual activations, int8 products and float32 cells, exact.
 *
 * A hidden state h takes part in products as two numbers of eight bits, so that it has fifteen:
 *
 *     q = rne(clamp(h * 16256, -16319, 16319)), 0 for NaN;    q = 128 * high + low with low in [-64, 63]
 *
 * and a gate before its activation is, both sums exact,
 *
 *     fma(q . r, scale, fma((x - zero) . w, scale of w, bias))
 *
 * Both parts meet the same weights, whose way from memory is most of the work. x in float32 goes the same way. */
#ifndef INGOT_RECURRENT_S8_H
#define INGOT_RECURRENT_S8_H

#include "gemm_s8.h"
#include "recurrent/recurrent_math.h"
#include "recurrent/recurrent_shape.h"
#include "store_s8.h"

/* What cells do with a batch row once its gates are there. */
typedef enum recurrent_s8_step {
    RECURRENT_S8_RNN,       /* h = tanh */
    RECURRENT_S8_LSTM,      /* c and h */
    RECURRENT_S8_GRU_AFTER, /* h, the reset gate coming after the product */
    RECURRENT_S8_GRU_RESET, /* else: r h, for the product of the candidate... */
    RECURRENT_S8_GRU,       /* ... and then h */
} recurrent_s8_step;

typedef struct recurrent_s8_row {
    float *gates;       /* [width], before their activation */
    const float *ahead; /* [width]: the product with x and the bias */
    float *h, *c;       /* [padded] */
    int8_t *parts;      /* [2][padded]: fifteen bits of h or, after GRU_RESET, of r h */
    int64_t padded;
    int wide;
} recurrent_s8_row;

/* Sums of a row of fifteen bits over panels of 16 columns. x is [2][stride] int8, or [stride] int16. */
typedef struct recurrent_s8_product {
    const int8_t *x, *weights;
    const int32_t *sums; /* of the weights of each column */
    int32_t *out;
    int64_t stride, steps, panels;
} recurrent_s8_product;

/* Sums that count steps of `scale`, added to `start`. */
typedef struct recurrent_s8_sums {
    const int32_t *sum;
    const float *scale, *start;
} recurrent_s8_sums;

/* Compiled once for each base instruction set. */
typedef struct recurrent_s8_cells {
    void (*split)(const float *x, float factor, int64_t n, int wide, int8_t *parts); /* n a multiple of 16 */
    void (*sum)(const recurrent_s8_sums *sums, int64_t n, float *to);                /* likewise */
    void (*step)(const recurrent_s8_row *row, recurrent_s8_step step);
} recurrent_s8_cells;

extern const recurrent_s8_cells ingot_recurrent_s8_cells__portable, ingot_recurrent_s8_cells__avx2,
    ingot_recurrent_s8_cells__neon;

/* The implementations of one instruction set. */
typedef struct recurrent_s8_isa {
    const recurrent_s8_cells *cells;
    int wide; /* fifteen bits are one int16, not two int8 */
    void (*product)(const recurrent_s8_product *product);
    ingot_gemm_s8_fn tile;
    void (*store)(const ingot_requantize *result, uint8_t dtype, void *y, const float *x, int64_t n);
} recurrent_s8_isa;

int ingot_recurrent_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const recurrent_s8_isa *isa);

#endif
