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
#include "recurrent/recurrent_shape.h"
#include "store_s8.h"

/* cffi:begin */
/* Operands: x int8 or float32 [T, B, I]; weights int8 [D, G Hp / 16, ceil(I / 4), 64] and recurrence [D, G Hp / 16,
 * ceil(H / 4), 64] in panels of 16 columns by 4 terms, each gate's H rows padded to Hp = a multiple of 16; bias float32
 * [D, 2, G Hp] as recurrent_f32_n16 has it; h0 and c0 float32 [D, B, H], optional; sums of the rows of the weights and
 * of the recurrence, int32 [D, 2, G Hp]; scales, float32 [D, 2, G Hp]: of x times those of the rows of the weights,
 * then those of the rows of the recurrence over 16256. Results: Y [T, D, B, H], int8 or float32; Y_h and, for LSTM, Y_c
 * [D, B, H], float32. */
typedef struct ingot_recurrent_s8_params {
    uint32_t kind;                /* ingot_recurrent_kind */
    uint32_t direction;           /* ingot_recurrent_direction */
    uint32_t linear_before_reset; /* GRU: the reset gate multiplies R h + bias instead of h */
    int32_t input_zero;
    float inverse_scale; /* 1 / scale of Y; 1 where it is float32 */
    int32_t output_zero;
    float fine;        /* what x in float32 is multiplied by before it is taken apart; 0 where it is int8 */
    uint32_t reserved; /* 0 */
} ingot_recurrent_s8_params;
/* cffi:end */

/* What cells do with a batch row once its gates are there. */
typedef enum recurrent_s8_step {
    RECURRENT_S8_RNN,       /* h = tanh */
    RECURRENT_S8_LSTM,      /* c and h */
    RECURRENT_S8_GRU_AFTER, /* h, the reset gate coming after the product */
    RECURRENT_S8_GRU_RESET, /* else: r h, for the product of the candidate... */
    RECURRENT_S8_GRU,       /* ... and then h */
} recurrent_s8_step;

#define RECURRENT_S8_STATE 16256.0f

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
