/* Rows times panels of 16 columns: the two products of a recurrent step. */
#ifndef INGOT_RECURRENT_PRODUCT_H
#define INGOT_RECURRENT_PRODUCT_H

#include "vec16.h"

/* out[m][v * 16 ...] = init[m][v * 16 ...] + sum over k of x[m][k] * panels[v][k][...], for `rows` rows and `vectors`
 * panels. With `parts` > 1 the sum over k is split, to have enough independent sums in flight. */
INGOT_INLINE void recurrent_tile(float *const *out, const float *const *init, const float *const *x, int64_t n,
                                 const float *panels, int rows, int vectors, int parts) {
    const int64_t stride = n * 16;
    v16 acc[8];
#pragma GCC unroll 8
    for (int i = 0; i < rows * vectors * parts; i++) {
        acc[i] = i % parts == 0 ? v16_load(init[i / parts / vectors] + i / parts % vectors * 16) : v16_zero();
    }
    int64_t k = 0;
    for (; k + parts <= n; k += parts) {
#pragma GCC unroll 4
        for (int part = 0; part < parts; part++) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++) {
                v16 w = v16_load(panels + v * stride + (k + part) * 16);
#pragma GCC unroll 4
                for (int m = 0; m < rows; m++) {
                    v16 *a = &acc[(m * vectors + v) * parts + part];
                    *a = v16_fma(v16_set1(x[m][k + part]), w, *a);
                }
            }
        }
    }
    for (; k < n; k++) { /* less than `parts` are left */
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            v16 w = v16_load(panels + v * stride + k * 16);
#pragma GCC unroll 4
            for (int m = 0; m < rows; m++) {
                v16 *a = &acc[(m * vectors + v) * parts];
                *a = v16_fma(v16_set1(x[m][k]), w, *a);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows * vectors; i++) {
        v16 sum = acc[i * parts];
#pragma GCC unroll 4
        for (int part = 1; part < parts; part++) sum = v16_add(sum, acc[i * parts + part]);
        v16_store(out[i / vectors] + i % vectors * 16, sum);
    }
}

/* Tiles as large as the registers: rows by panels for several rows, panels for one row. */
#if defined(__AVX512F__)
enum { TILE_ROWS = 4, TILE_PANELS = 2, ROW_PANELS = 8 };
#elif defined(__AVX2__) || defined(INGOT_ISA_neon)
enum { TILE_ROWS = 4, TILE_PANELS = 1, ROW_PANELS = 4 };
#else
enum { TILE_ROWS = 2, TILE_PANELS = 1, ROW_PANELS = 2 };
#endif

/* The same for any number of rows and panels. */
static void recurrent_product(float *const *out, const float *const *init, const float *const *x, int64_t rows,
                              int64_t n, const float *panels, int64_t count) {
    for (int64_t row = 0; row < rows;) {
        const int several = rows - row >= TILE_ROWS;
        for (int64_t panel = 0; panel < count;) {
            float *o[TILE_ROWS];
            const float *b[TILE_ROWS], *const *xs = x + row, *p = panels + panel * n * 16;
            for (int m = 0; m < (several ? TILE_ROWS : 1); m++) {
                o[m] = out[row + m] + panel * 16;
                b[m] = init[row + m] + panel * 16;
            }
            const int64_t left = count - panel;
            if (several && left >= TILE_PANELS) {
                recurrent_tile(o, b, xs, n, p, TILE_ROWS, TILE_PANELS, 1);
                panel += TILE_PANELS;
            } else if (several) {
                recurrent_tile(o, b, xs, n, p, TILE_ROWS, 1, 1);
                panel += 1;
            } else if (left >= ROW_PANELS) {
                recurrent_tile(o, b, xs, n, p, 1, ROW_PANELS, 1);
                panel += ROW_PANELS;
            } else if (left >= 3) {
                recurrent_tile(o, b, xs, n, p, 1, 3, ROW_PANELS >= 8 ? 2 : 1);
                panel += 3;
            } else {
                recurrent_tile(o, b, xs, n, p, 1, 1, ROW_PANELS >= 4 ? 4 : 2);
                panel += 1;
            }
        }
        row += several ? TILE_ROWS : 1;
    }
}

#endif
