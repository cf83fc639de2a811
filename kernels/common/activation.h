/* Activations that convolutions, matrix products and the rest apply to what they have just computed. */
#ifndef INGOT_ACTIVATION_H
#define INGOT_ACTIVATION_H

#include <stdint.h>

#include "vmath.h"

/* cffi:begin */
typedef enum ingot_activation_kind {
    INGOT_ACT_NONE = 0,
    INGOT_ACT_RELU = 1,
    INGOT_ACT_CLIP = 2,       /* min(max(x, alpha), beta) */
    INGOT_ACT_LEAKY_RELU = 3, /* x < 0 ? alpha x : x */
    INGOT_ACT_SIGMOID = 4,
    INGOT_ACT_TANH = 5,
    INGOT_ACT_SILU = 6,         /* x sigmoid(x) */
    INGOT_ACT_ELU = 7,          /* x < 0 ? alpha (e^x - 1) : x */
    INGOT_ACT_HARD_SIGMOID = 8, /* clip(alpha x + beta, 0, 1) */
    INGOT_ACT_HARD_SWISH = 9,   /* x clip(x / 6 + 1/2, 0, 1) */
    INGOT_ACT_GELU = 10,        /* x (1 + erf(x / sqrt 2)) / 2 */
    INGOT_ACT_GELU_TANH = 11,
    INGOT_ACT_SOFTPLUS = 12,         /* log(1 + e^x) */
    INGOT_ACT_MISH = 13,             /* x tanh(softplus(x)) */
    INGOT_ACT_SOFTSIGN = 14,         /* x / (1 + |x|) */
    INGOT_ACT_SELU = 15,             /* beta (x < 0 ? alpha (e^x - 1) : x) */
    INGOT_ACT_CELU = 16,             /* x < 0 ? alpha (e^(x / alpha) - 1) : x */
    INGOT_ACT_THRESHOLDED_RELU = 17, /* x > alpha ? x : 0 */
    INGOT_ACT_SWISH = 18,            /* x sigmoid(alpha x) */
    INGOT_ACT_COUNT = 19
} ingot_activation_kind;

typedef struct ingot_activation {
    uint32_t kind; /* ingot_activation_kind */
    float alpha;
    float beta;
    uint32_t reserved; /* 0 */
} ingot_activation;
/* cffi:end */

/* What a kernel's check asks of the activation in its parameters. Any alpha and beta are harmless. */
static inline int ingot_activation_valid(const ingot_activation *activation) {
    return activation->kind < INGOT_ACT_COUNT && activation->reserved == 0;
}

/* The longer functions are compiled once for each base instruction set (activation_cpu*.c), not once for each file
 * that uses them. */
#if defined(INGOT_ISA_avx512) || defined(INGOT_ISA_avx512vnni) || defined(INGOT_ISA_avx512bf16)
#define INGOT_ACTIVATE_REST ingot_activate_rest__avx512
#elif defined(INGOT_ISA_avx2) || defined(INGOT_ISA_avxvnni)
#define INGOT_ACTIVATE_REST ingot_activate_rest__avx2
#elif defined(INGOT_ISA_neon) || defined(INGOT_ISA_neondot) || defined(INGOT_ISA_neonbf16)
#define INGOT_ACTIVATE_REST ingot_activate_rest__neon
#else
#define INGOT_ACTIVATE_REST ingot_activate_rest__portable
#endif
/* y may be x. */
void INGOT_ACTIVATE_REST(const ingot_activation *activation, float *y, const float *x, int64_t n);

/* Applies a valid activation in place to a row that is hot in the first-level cache. */
static inline void ingot_activate_f32(const ingot_activation *activation, float *x, int64_t n) {
    const float alpha = activation->alpha, beta = activation->beta;
    switch (activation->kind) {
    case INGOT_ACT_NONE: return;
    case INGOT_ACT_RELU:
        for (int64_t i = 0; i < n; i++) x[i] = ingot_relu_f32(x[i]);
        return;
    case INGOT_ACT_CLIP:
        for (int64_t i = 0; i < n; i++) x[i] = ingot_clip_f32(x[i], alpha, beta);
        return;
    default: INGOT_ACTIVATE_REST(activation, x, x, n);
    }
}

#endif
