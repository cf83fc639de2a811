/* The macros that make one loop of each line of the functions_*.inc files, and one table entry of each loop. */
#ifndef INGOT_ELEMENTWISE_LOOPS_H
#define INGOT_ELEMENTWISE_LOOPS_H

#include "elementwise_kernel.h"
#include "elementwise_scalar.h"
#include "half.h"
#include "vmath.h"

#define EW_FN(name)                                                                                                    \
    static void name(void *dst, const void *a_, const void *b_, const void *c_, int64_t n, float alpha_, float beta_)

/* C is the type alpha and beta are computed in. */
#define EW_LOOP(name, R, T, C, setup, expression)                                                                      \
    EW_FN(name) {                                                                                                      \
        R *const d = dst;                                                                                              \
        const T *const a = a_;                                                                                         \
        const T *const b = b_;                                                                                         \
        const C alpha = (C)alpha_, beta = (C)beta_;                                                                    \
        (void)b, (void)c_, (void)alpha, (void)beta;                                                                    \
        n = INGOT_WHOLE_LANES(n);                                                                                      \
        INGOT_VECTOR_LOOP                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const T x = a[i];                                                                                          \
            setup d[i] = (R)(expression);                                                                              \
        }                                                                                                              \
    }
#define EW_LOOP_1(name, R, T, C, expression) EW_LOOP(name, R, T, C, , expression)
#define EW_LOOP_2(name, R, T, C, expression) EW_LOOP(name, R, T, C, const T y = b[i];, expression)

#endif
