/* Numbers of fifteen bits times panels of int8 weights, for one instruction set: exact sums of 32 bits. */
#ifndef INGOT_RECURRENT_S8_PRODUCT_H
#define INGOT_RECURRENT_S8_PRODUCT_H

#include "recurrent/recurrent_s8.h"
#include "s8_dot.h"

#if defined(__AVX2__) && !defined(__AVXVNNI__) && !defined(__AVX512VNNI__)
/* Its products are those of 16 bits anyway. */
enum { PRODUCT_WIDE = 1, PRODUCT_PARTS = 1, PRODUCT_VECTORS = 8 };

S8_INLINE s8_factor product_factor(const int8_t *x, int64_t stride, int part, int64_t step) {
    int64_t four;
    (void)stride;
    (void)part;
    memcpy(&four, x + step * 8, sizeof four);
    return _mm256_set1_epi64x(four);
}
#else
enum { PRODUCT_WIDE = 0, PRODUCT_PARTS = 2, PRODUCT_VECTORS = 4 };

S8_INLINE s8_factor product_factor(const int8_t *x, int64_t stride, int part, int64_t step) {
    return s8_splat(x + part * stride + step * INGOT_S8_STEP);
}
#endif

enum {
    PRODUCT_COLUMNS = S8_BYTES / INGOT_S8_STEP,              /* of a vector */
    PRODUCT_PANEL = INGOT_S8_BLOCK / S8_BYTES,               /* vectors of a panel */
    PRODUCT_TOGETHER = PRODUCT_VECTORS / PRODUCT_PANEL,      /* panels */
    PRODUCT_FLIP = S8_FLIP * (PRODUCT_PARTS == 2 ? 129 : 1), /* times the sum of a column's weights is too much */
};

/* `panels` from `first` on; both are constants where this is inlined. */
S8_INLINE void product_panels(const recurrent_s8_product *p, int64_t first, const int panels) {
    const int vectors = panels * PRODUCT_PANEL;
    const int8_t *weights = p->weights + first * p->steps * INGOT_S8_BLOCK;
    s8_sum sum[PRODUCT_PARTS][PRODUCT_VECTORS];
    int32_t found[PRODUCT_PARTS][PRODUCT_VECTORS * PRODUCT_COLUMNS];
#pragma GCC unroll 16
    for (int i = 0; i < PRODUCT_PARTS * vectors; i++) {
        sum[i / vectors][i % vectors] = s8_zero();
    }
    for (int64_t k = 0; k < p->steps; k++) {
        s8_factor x[PRODUCT_PARTS];
#pragma GCC unroll 2
        for (int part = 0; part < PRODUCT_PARTS; part++) {
            x[part] = product_factor(p->x, p->stride, part, k);
        }
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            const int64_t at = (v / PRODUCT_PANEL * p->steps + k) * INGOT_S8_BLOCK + v % PRODUCT_PANEL * S8_BYTES;
            const s8_weights w = s8_load_weights(weights + at);
#pragma GCC unroll 2
            for (int part = 0; part < PRODUCT_PARTS; part++) {
                sum[part][v] = s8_dot(sum[part][v], x[part], w);
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < PRODUCT_PARTS * vectors; i++) {
        s8_store(&found[i / vectors][i % vectors * PRODUCT_COLUMNS], sum[i / vectors][i % vectors]);
    }
    for (int j = 0; j < panels * INGOT_GEMM_NR; j++) {
        const uint32_t low = (uint32_t)found[PRODUCT_PARTS - 1][j];
        const uint32_t both = PRODUCT_PARTS == 2 ? (uint32_t)found[0][j] * 128 + low : low;
        const int64_t at = first * INGOT_GEMM_NR + j;
        p->out[at] = (int32_t)(both - (uint32_t)p->sums[at] * PRODUCT_FLIP);
    }
}

static void product(const recurrent_s8_product *p) {
    int64_t panel = 0;
    for (; PRODUCT_TOGETHER > 1 && panel + PRODUCT_TOGETHER <= p->panels; panel += PRODUCT_TOGETHER) {
        product_panels(p, panel, PRODUCT_TOGETHER);
    }
    for (; panel < p->panels; panel++) {
        product_panels(p, panel, 1);
    }
}

#define INGOT_RECURRENT_S8_KERNEL(cells_)                                                                              \
    INGOT_KERNEL_FN(recurrent_s8_n16k4) {                                                                              \
        const recurrent_s8_isa isa = {&ingot_recurrent_s8_cells__##cells_, PRODUCT_WIDE, product,                      \
                                      INGOT_PASTE(ingot_, gemm_s8, INGOT_ISA).tile, INGOT_STORE_S8};                   \
        return ingot_recurrent_s8_run(call, begin, end, scratch, &isa);                                                \
    }

#endif
