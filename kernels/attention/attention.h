/* The parameters of attention: softmax(scale * q k^T + mask) v for each head. */
#ifndef INGOT_ATTENTION_H
#define INGOT_ATTENTION_H

#include <stdint.h>

/* cffi:begin */
/* Bits of `rows_first`: the operand is [B, L, H, D], else [B, H, L, D]. Those of q, k and v are also set where the
 * operand has its heads side by side: [B, L, H * D], of rank 3. */
enum {
    INGOT_ATTENTION_Q_ROWS_FIRST = 1,
    INGOT_ATTENTION_K_ROWS_FIRST = 2,
    INGOT_ATTENTION_V_ROWS_FIRST = 4,
    INGOT_ATTENTION_OUT_ROWS_FIRST = 8
};

/* q has H heads of Lq rows; k and v have G heads of Lk rows, and G divides H: head h of q goes with head h / (H / G).
 * The mask, if there is one, is added to the scores; it is [B or 1, H or 1, Lq or 1, Lk]. */
typedef struct ingot_attention_params {
    float scale;
    float softcap;       /* scores become softcap * tanh(score / softcap) before the mask is added; 0 for none */
    uint32_t rows_first; /* which operands lie [B, L, H, D] */
    uint32_t causal;     /* 1: row i sees columns up to i + diagonal only */
    int64_t diagonal;
} ingot_attention_params;
/* cffi:end */

#endif
