/* The parameters of recurrent: RNN, GRU and LSTM as ONNX defines them. */
#ifndef INGOT_RECURRENT_H
#define INGOT_RECURRENT_H

#include <stdint.h>

#include "activation.h"

/* cffi:begin */
typedef enum ingot_recurrent_kind {
    INGOT_RECURRENT_RNN = 0,  /* one gate */
    INGOT_RECURRENT_GRU = 1,  /* gates z, r, h */
    INGOT_RECURRENT_LSTM = 2, /* gates i, o, f, c */
    INGOT_RECURRENT_KIND_COUNT = 3
} ingot_recurrent_kind;

typedef enum ingot_recurrent_direction {
    INGOT_RECURRENT_FORWARD = 0,
    INGOT_RECURRENT_REVERSE = 1,
    INGOT_RECURRENT_BIDIRECTIONAL = 2,
    INGOT_RECURRENT_DIRECTION_COUNT = 3
} ingot_recurrent_direction;

/* Kinds of activation that only these operators have, beside those of ingot_activation_kind. */
enum {
    INGOT_RECURRENT_AFFINE = 100,     /* alpha x + beta */
    INGOT_RECURRENT_SCALED_TANH = 101 /* alpha tanh(beta x) */
};

/* Operands: x [T, B, I]; weights, recurrence, bias as the kernel wants them; sequence_lens int32 [B]; h0 [D, B, H];
 * c0 [D, B, H]; peepholes [D, 3 H] in order i, o, f. Results: Y [T, D, B, H]; Y_h [D, B, H]; for LSTM Y_c [D, B, H].
 * All inputs from the bias on are optional. D is 2 when bidirectional.
 *
 * In packed form each gate's H rows are padded to Hp = a multiple of 16 and the weights lie in panels of 16 rows:
 * weights [D, G Hp / 16, I, 16], recurrence [D, G Hp / 16, H, 16], bias [D, 2, G Hp]: what is added to the gates, then
 * what is added to R h alone (GRU with linear_before_reset). In plain form they are ONNX's [D, G H, I], [D, G H, H] and
 * [D, 2 G H]. */
typedef struct ingot_recurrent_params {
    uint32_t kind;                   /* ingot_recurrent_kind */
    uint32_t direction;              /* ingot_recurrent_direction */
    uint32_t linear_before_reset;    /* GRU: the reset gate multiplies R h + bias instead of h */
    uint32_t input_forget;           /* LSTM: the forget gate is 1 - i */
    float clip;                      /* gates are clamped to [-clip, clip] before their activation; infinite for none */
    uint32_t reserved;               /* 0 */
    ingot_activation activations[6]; /* three a direction: LSTM f, g, h; GRU f, g; RNN f */
} ingot_recurrent_params;

/* INT8 (recurrent_s8.h has the formulas). Operands: x int8 or float32 [T, B, I]; weights int8 [D, G Hp / 16,
 * ceil(I / 4), 64] and recurrence [D, G Hp / 16, ceil(H / 4), 64] in panels of 16 columns by 4 terms, each gate's H
 * rows padded to Hp = a multiple of 16; bias float32 [D, 2, G Hp] as recurrent_f32_n16 has it; h0 and c0 float32 [D, B,
 * H], optional; sums of the rows of the weights and of the recurrence, int32 [D, 2, G Hp]; scales, float32 [D, 2, G
 * Hp]: of x times those of the rows of the weights, then those of the rows of the recurrence over 16256. Results: Y [T,
 * D, B, H], int8 or float32; Y_h and, for LSTM, Y_c [D, B, H], float32. */
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

#endif
