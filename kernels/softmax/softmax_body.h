/* The loops of one element type. Included with T, NAME(x), EXP(x) for x <= 0, LOG(x) and LOWEST, behind what
 * softmax_row.h has where that is there already (SOFTMAX_ROW). */
#ifndef SOFTMAX_ROW
#include "softmax/softmax_row.h"
#endif

enum { NAME(block) = 512, NAME(columns) = SOFTMAX_COLUMNS };

static __attribute__((noinline)) void NAME(hardmax)(T *y, const T *x, int64_t n, int64_t step) {
    int64_t at = 0;
    T best = x[0];
    for (int64_t i = 1; i < n; i++) {
        if (x[i * step] > best) {
            best = x[i * step];
            at = i;
        }
    }
    for (int64_t i = 0; i < n; i++) y[i * step] = (T)(i == at);
}

/* One long row. */
static void NAME(long_row)(uint32_t kind, T *y, const T *x, int64_t n) {
    T m = NAME(largest)(x, n);
    if (kind == INGOT_LOG_SOFTMAX) {
        T log_sum = LOG(NAME(exp_row)(NULL, x, n, m));
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) - log_sum;
    } else {
        T scale = 1 / NAME(exp_row)(y, x, n, m);
        for (int64_t i = 0; i < n; i++) y[i] *= scale;
    }
}

/* As many short rows as fit the local array: the exponentials of all of them in one loop. */
static void NAME(short_rows)(uint32_t kind, T *y, const T *x, int64_t rows, int64_t n) {
    T d[NAME(block)], e[NAME(block)];
    for (int64_t row = 0; row < rows; row++) {
        const T *p = x + row * n;
        T m = p[0];
        for (int64_t i = 1; i < n; i++) m = p[i] > m ? p[i] : m;
        for (int64_t i = 0; i < n; i++) d[row * n + i] = p[i] - m;
    }
    for (int64_t i = 0; i < rows * n; i++) e[i] = EXP(d[i]);
    for (int64_t row = 0; row < rows; row++) {
        T sum = 0;
        for (int64_t i = 0; i < n; i++) sum += e[row * n + i];
        if (kind == INGOT_LOG_SOFTMAX) {
            T log_sum = LOG(sum);
            for (int64_t i = 0; i < n; i++) y[row * n + i] = d[row * n + i] - log_sum;
        } else {
            T scale = 1 / sum;
            for (int64_t i = 0; i < n; i++) y[row * n + i] = e[row * n + i] * scale;
        }
    }
}

/* Columns side by side, `step` elements from one row to the next. */
static inline __attribute__((always_inline)) void NAME(columns_of)(uint32_t kind, T *y, const T *x, int64_t n,
                                                                   int64_t step, int width) {
    T m[NAME(columns)], sum[NAME(columns)], e[NAME(columns)];
    for (int j = 0; j < width; j++) m[j] = x[j];
    for (int64_t i = 1; i < n; i++) {
        for (int j = 0; j < width; j++) m[j] = x[i * step + j] > m[j] ? x[i * step + j] : m[j];
    }
    for (int j = 0; j < width; j++) sum[j] = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int j = 0; j < width; j++) e[j] = EXP(x[i * step + j] - m[j]);
        for (int j = 0; j < width; j++) sum[j] += e[j];
        if (kind == INGOT_SOFTMAX) memcpy(y + i * step, e, (size_t)width * sizeof *e);
    }
    for (int j = 0; j < width; j++) sum[j] = kind == INGOT_LOG_SOFTMAX ? LOG(sum[j]) : 1 / sum[j];
    for (int64_t i = 0; i < n; i++) {
        if (kind == INGOT_LOG_SOFTMAX) {
            for (int j = 0; j < width; j++) e[j] = (x[i * step + j] - m[j]) - sum[j];
        } else {
            for (int j = 0; j < width; j++) e[j] = y[i * step + j] * sum[j];
        }
        memcpy(y + i * step, e, (size_t)width * sizeof *e);
    }
}

static void NAME(rows)(uint32_t kind, T *y, const T *x, int64_t rows, int64_t n) {
    if (kind == INGOT_HARDMAX) {
        for (int64_t row = 0; row < rows; row++) NAME(hardmax)(y + row * n, x + row * n, n, 1);
    } else if (n > 2 * NAME(lanes)) {
        for (int64_t row = 0; row < rows; row++) NAME(long_row)(kind, y + row * n, x + row * n, n);
    } else {
        int64_t some = NAME(block) / n;
        for (int64_t row = 0; row < rows; row += some) {
            NAME(short_rows)(kind, y + row * n, x + row * n, rows - row < some ? rows - row : some, n);
        }
    }
}

static void NAME(columns_block)(uint32_t kind, T *y, const T *x, int64_t n, int64_t step, int width) {
    if (kind == INGOT_HARDMAX) {
        for (int j = 0; j < width; j++) NAME(hardmax)(y + j, x + j, n, step);
    } else if (width == NAME(columns)) {
        NAME(columns_of)(kind, y, x, n, step, NAME(columns));
    } else {
        NAME(columns_of)(kind, y, x, n, step, width);
    }
}

static void NAME(softmax_unit)(const ingot_call *call, int64_t unit) {
    const ingot_softmax_params *p = call->params;
    const softmax_shape shape = softmax_shape_of(call);
    const T *x = call->in[0].data;
    T *y = call->out[0].data;
    if (shape.inner == 1) {
        int64_t row = unit * shape.grain;
        int64_t rows = shape.outer - row < shape.grain ? shape.outer - row : shape.grain;
        NAME(rows)(p->kind, y + row * shape.n, x + row * shape.n, rows, shape.n);
    } else {
        int64_t column = unit % shape.across * SOFTMAX_COLUMNS;
        int64_t at = unit / shape.across * shape.n * shape.inner + column;
        int64_t width = shape.inner - column < SOFTMAX_COLUMNS ? shape.inner - column : SOFTMAX_COLUMNS;
        NAME(columns_block)(p->kind, y + at, x + at, shape.n, shape.inner, (int)width);
    }
}

#undef T
#undef NAME
#undef EXP
#undef LOG
#undef LOWEST
