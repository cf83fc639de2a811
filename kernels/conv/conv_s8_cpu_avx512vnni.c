/* The instruction multiplies unsigned by signed bytes: activations are taken as x + 128, and 128 times the sum of the
 * weights is subtracted together with the zero point. */
#include "conv_s8.h"
#include "vec16.h"

typedef void (*block_fn)(const ingot_conv_s8_tile *t);

/* Four bytes, fewer at the end of a run: nothing behind it is read. */
INGOT_INLINE int32_t load_step(const int8_t *x, int64_t count) {
    int32_t four = 0;
    if (count >= INGOT_S8_STEP) {
        memcpy(&four, x, INGOT_S8_STEP);
    } else {
        for (int64_t i = 0; i < count; i++) {
            four |= (int32_t)((uint32_t)(uint8_t)x[i] << (8 * i));
        }
    }
    return four;
}

INGOT_INLINE void finish(const ingot_conv_s8_tile *t, __m512i sum, int row) {
    const ingot_requantize *q = &t->requantize;
    const __mmask16 lanes = (__mmask16)((1u << t->columns) - 1u);
    const __m512i sums = _mm512_maskz_loadu_epi32(lanes, t->sums);
    const __m512i offset = _mm512_mullo_epi32(sums, _mm512_set1_epi32(128 + t->input_zero));
    const v16 bias = t->bias != NULL ? _mm512_maskz_loadu_ps(lanes, t->bias) : v16_zero();
    v16 y = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, offset));
    y = v16_fma(y, _mm512_maskz_loadu_ps(lanes, t->scale), bias);
    if (t->residual != NULL) {
        __m512i r = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, t->residual[row]));
        r = _mm512_sub_epi32(r, _mm512_set1_epi32(t->residual_zero));
        y = v16_fma(_mm512_cvtepi32_ps(r), v16_set1(t->residual_scale), y);
    }
    y = v16_min(v16_set1(q->hi), v16_max(v16_set1(q->lo), y));
    y = v16_mul(y, v16_set1(q->inverse_scale));
    y = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, y, _CMP_ORD_Q), y);
    y = v16_min(v16_set1(q->max), v16_max(v16_set1(q->min), y));
    const __m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(y), _mm512_set1_epi32(q->zero));
    _mm_mask_storeu_epi8(t->out[row], lanes, _mm512_cvtepi32_epi8(whole));
}

INGOT_INLINE void block(const ingot_conv_s8_tile *t, const int rows) {
    const __m512i flip = _mm512_set1_epi8(-128);
    const int8_t *w = t->weights;
    const int64_t length = t->at.length;
    __m512i sum[INGOT_GEMM_MR];
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++) {
        sum[r] = _mm512_setzero_si512();
    }
    for (int64_t tap = 0; tap < t->at.taps; tap++) {
        const int8_t *x[INGOT_GEMM_MR];
#pragma GCC unroll 10
        for (int r = 0; r < rows; r++) {
            x[r] = t->at.rows[tap * INGOT_GEMM_MR + r];
        }
        int64_t k = 0;
        for (; k + INGOT_S8_STEP <= length; k += INGOT_S8_STEP, w += INGOT_S8_BLOCK) {
            const __m512i weight = _mm512_loadu_si512(w);
#pragma GCC unroll 10
            for (int r = 0; r < rows; r++) {
                const __m512i four = _mm512_set1_epi32(load_step(x[r] + k, INGOT_S8_STEP));
                sum[r] = _mm512_dpbusd_epi32(sum[r], _mm512_xor_si512(four, flip), weight);
            }
        }
        if (k < length) {
            const __m512i weight = _mm512_loadu_si512(w);
            w += INGOT_S8_BLOCK;
#pragma GCC unroll 10
            for (int r = 0; r < rows; r++) {
                const __m512i four = _mm512_set1_epi32(load_step(x[r] + k, length - k));
                sum[r] = _mm512_dpbusd_epi32(sum[r], _mm512_xor_si512(four, flip), weight);
            }
        }
    }
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++) {
        finish(t, sum[r], r);
    }
}

#define BLOCK(rows)                                                                                                    \
    static void block_##rows(const ingot_conv_s8_tile *t) { block(t, rows); }
BLOCK(1)
BLOCK(2)
BLOCK(3)
BLOCK(4)
BLOCK(5)
BLOCK(6)
BLOCK(7)
BLOCK(8)
BLOCK(9)
BLOCK(10)

static void compute(const ingot_conv_s8_tile *t) {
    static const block_fn blocks[] = {block_1, block_2, block_3, block_4, block_5,
                                      block_6, block_7, block_8, block_9, block_10};
    blocks[t->at.count - 1](t);
}

INGOT_KERNEL_FN(conv_s8_n16k4) { return ingot_conv_s8_n16k4_run(call, begin, end, scratch, compute); }
