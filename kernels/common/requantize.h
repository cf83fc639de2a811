/* The last steps of an INT8 operator, as fixed sequences of binary32 operations that give the same bits everywhere:
 * no library function, no instruction whose result differs between processors. */
#ifndef INGOT_REQUANTIZE_H
#define INGOT_REQUANTIZE_H

#include <stdint.h>
#include <string.h>

/* a * b + c, rounded once. */
static inline float ingot_fma_f32(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    /* The product is exact in binary64. The sum is rounded to odd, so that rounding it again, to binary32, gives what
     * one rounding would have given: S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums: proved
     * algorithms using rounding to odd", IEEE Trans. Computers 57(4), 2008. */
    const double product = (double)a * (double)b;
    const double sum = product + (double)c;
    const double part = sum - product;
    const double error = (product - (sum - part)) + ((double)c - part);
    int64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (error == error && error != 0.0 && (bits & 1) == 0) {
        bits += (error > 0.0) == (sum > 0.0) ? 1 : -1;
    }
    double odd;
    memcpy(&odd, &bits, sizeof odd);
    return (float)odd;
#endif
}

typedef struct ingot_requantize {
    float lo, hi;        /* of the activation; infinite when there is none */
    float inverse_scale; /* of the output */
    float min, max;      /* of the result before the zero point is added: whole numbers */
    int32_t zero;
} ingot_requantize;

/* The activation alone, for results that stay real numbers. There is one NaN: which one an operation gives differs. */
static inline float ingot_clamp_f32(const ingot_requantize *q, float x) {
    x = x < q->lo ? q->lo : x;
    x = x > q->hi ? q->hi : x;
    return x == x ? x : __builtin_nanf("");
}

/* A real number to a stored one: clamp, scale, round half to even, saturate. NaN becomes 0, hence the zero point. */
static inline int32_t ingot_requantize_i32(const ingot_requantize *q, float x) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to whole numbers */
    x = x < q->lo ? q->lo : x;
    x = x > q->hi ? q->hi : x;
    x *= q->inverse_scale;
    x = x == x ? x : 0.0f;
    x = x < q->min ? q->min : x;
    x = x > q->max ? q->max : x;
    return (int32_t)((x + magic) - magic) + q->zero;
}

static inline int8_t ingot_requantize_s8(const ingot_requantize *q, float x) {
    return (int8_t)ingot_requantize_i32(q, x);
}

/* The same with less to do for each number, where all that depends on q alone has been done before. */
typedef struct ingot_requantize_fast {
    float scale, lo, hi;
    int32_t zero;
} ingot_requantize_fast;

/* Multiplying by a positive number and rounding keeps the order, so that the activation's clamp can follow it and be
 * one with that of the result. Needs a finite scale above zero, and 0 in [min, max], hence a NaN may become 0 last. */
static inline ingot_requantize_fast ingot_requantize_prepare(const ingot_requantize *q) {
    float lo = q->lo == q->lo ? q->lo * q->inverse_scale : q->min;
    float hi = q->hi == q->hi ? q->hi * q->inverse_scale : q->max;
    lo = lo < q->min ? q->min : lo > q->max ? q->max : lo;
    hi = hi > q->max ? q->max : hi < q->min ? q->min : hi;
    const ingot_requantize_fast fast = {q->inverse_scale, lo, hi, q->zero};
    return fast;
}

/* The least or the largest stored number, of `lo` or `hi`: rounding keeps the order. */
static inline int8_t ingot_requantize_bound(const ingot_requantize_fast *f, float x) {
    const float magic = 12582912.0f;
    return (int8_t)((int32_t)((x + magic) - magic) + f->zero);
}

#endif
