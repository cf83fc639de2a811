/* The epilogue of blocks of sums that stay in registers, where a vector of sums is a panel: without residual or with
 * one, to int8, and tame. Four vectors at a time become 64 bytes by packing, which saturates. */
#ifndef INGOT_DIRECT_S8_H
#define INGOT_DIRECT_S8_H

#include "finish_s8.h"

typedef struct s8_direct_numbers {
    s8_pack_numbers pack;
    v16 residual_scale;
    w16 residual_zero;
} s8_direct_numbers;

S8_INLINE s8_direct_numbers s8_read_direct(const ingot_gemm_s8 *t) {
    s8_direct_numbers n;
    n.pack = s8_read_pack_numbers(t);
    n.residual_scale = v16_set1(t->residual_scale);
    n.residual_zero = w16_set1(-t->residual_zero);
    return n;
}

/* Whether no result of these columns, before it is clamped, is NaN, or 2^30 or more in size: sums are below 2^31. */
S8_INLINE int s8_is_tame(const ingot_gemm_s8 *t, int64_t column, int64_t columns) {
    const v16 most_scale = v16_set1(t->tame_scale), most_bias = v16_set1(t->tame_bias);
    __mmask16 tame = 0xffff;
    for (int64_t i = 0; i < columns; i += INGOT_GEMM_NR, column += INGOT_GEMM_NR) {
        const __mmask16 some = (__mmask16)(columns - i < INGOT_GEMM_NR ? (1 << (columns - i)) - 1 : 0xffff);
        const v16 scale = _mm512_abs_ps(_mm512_maskz_loadu_ps(some, t->scale + column));
        tame &= _mm512_cmp_ps_mask(scale, most_scale, _CMP_LE_OQ);
        if (t->bias != NULL) {
            const v16 bias = _mm512_abs_ps(_mm512_maskz_loadu_ps(some, t->bias + column));
            tame &= _mm512_cmp_ps_mask(bias, most_bias, _CMP_LE_OQ);
        }
    }
    return tame == 0xffff;
}

/* Where sums go, of which the first mr rows are wanted, and their residuals or NULL. */
typedef struct s8_direct {
    int8_t *const *out;
    const int8_t *const *residual;
    int64_t column;
    int32_t mr;
} s8_direct;

S8_INLINE void s8_store_some(const s8_direct *d, w16 bytes, int row, const int vectors) {
    if (vectors == 4) {
        _mm512_storeu_si512(d->out[row] + d->column, bytes);
    } else if (vectors == 2) {
        _mm256_storeu_si256((__m256i *)(void *)(d->out[row] + d->column), _mm512_castsi512_si256(bytes));
        if (row + 1 < d->mr) {
            _mm256_storeu_si256((__m256i *)(void *)(d->out[row + 1] + d->column), _mm512_extracti64x4_epi64(bytes, 1));
        }
    } else {
        __m128i part[4] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                           _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++) {
            if (row + r < d->mr) _mm_storeu_si128((__m128i *)(void *)(d->out[row + r] + d->column), part[r]);
        }
    }
}

/* The sums have the columns' offsets in them. `rows` and `vectors` are constants where this is inlined. */
S8_INLINE void s8_finish_direct(const s8_direct_numbers *n, const s8_columns *columns, const s8_direct *d,
                                s8_sum (*sum)[S8_VECTORS], const int rows, const int vectors) {
#pragma GCC unroll 10
    for (int first = 0; first < rows * vectors; first += 4) {
        w16 whole[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            const int at = first + i < rows * vectors ? first + i : first, row = at / vectors, v = at % vectors;
            v16 x = v16_fma(w16_real(sum[row][v]), columns[v].scale, columns[v].bias);
            if (d->residual != NULL) {
                const int8_t *from = d->residual[row < d->mr ? row : 0] + d->column + v * INGOT_GEMM_NR;
                const w16 r = w16_load_bytes(from, INGOT_GEMM_NR);
                x = v16_fma(w16_real(w16_add(r, n->residual_zero)), n->residual_scale, x);
            }
            whole[i] = w16_nearest(v16_mul(x, n->pack.scale));
        }
        s8_store_some(d, w16_pack_in_order_(whole, &n->pack.bounds), first / vectors, vectors);
    }
}

#endif
