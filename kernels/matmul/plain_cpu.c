/* matmul_plain: the element types that have no tuned kernel. Integers wrap around, as they do in ONNX. */
#include "matmul_shape.h"

enum { COLUMNS = 32 };

/* One row of the product: columns in blocks whose sums stay in registers. Strides in elements. */
typedef struct row_task {
    const void *a, *b, *bias, *residual;
    void *out;
    int64_t a_stride, b_row, b_column; /* from one k to the next in a and b, from one column to the next in b */
    int64_t n, k;
    float alpha;
} row_task;

#define ROW_FUNCTION(name, type)                                                                                       \
    static void name(const row_task *t) {                                                                              \
        const type *a = t->a, *bias = t->bias, *residual = t->residual;                                                \
        const type alpha = (type)t->alpha;                                                                             \
        type *out = t->out;                                                                                            \
        for (int64_t first = 0; first < t->n; first += COLUMNS) {                                                      \
            const int64_t count = t->n - first < COLUMNS ? t->n - first : COLUMNS;                                     \
            type sum[COLUMNS] = {0};                                                                                   \
            for (int64_t k = 0; k < t->k; k++) {                                                                       \
                const type *b = (const type *)t->b + k * t->b_row + first * t->b_column;                               \
                const type x = a[k * t->a_stride];                                                                     \
                for (int64_t j = 0; j < count; j++) {                                                                  \
                    sum[j] += x * b[j * t->b_column];                                                                  \
                }                                                                                                      \
            }                                                                                                          \
            for (int64_t j = 0; j < count; j++) {                                                                      \
                type y = alpha * sum[j];                                                                               \
                y += bias != NULL ? bias[first + j] : 0;                                                               \
                y += residual != NULL ? residual[first + j] : 0;                                                       \
                out[first + j] = y;                                                                                    \
            }                                                                                                          \
        }                                                                                                              \
    }

ROW_FUNCTION(row_f64, double)
ROW_FUNCTION(row_32, uint32_t)
ROW_FUNCTION(row_64, uint64_t)

static int64_t element_size(uint8_t dtype) { return dtype == INGOT_I32 || dtype == INGOT_U32 ? 4 : 8; }

static const char *plain_check(const ingot_call *call) {
    const ingot_matmul_params *p = call->params;
    const uint8_t dtype = call->out[0].dtype;
    ingot_matmul_shape s;
    if (dtype != INGOT_F64 && dtype != INGOT_I32 && dtype != INGOT_U32 && dtype != INGOT_I64 && dtype != INGOT_U64) {
        return "matmul: element type";
    }
    const char *reason = ingot_matmul_operands_check(call, dtype);
    if (reason != NULL) {
        return reason;
    }
    if (p->activation.kind != INGOT_ACT_NONE || (dtype != INGOT_F64 && p->alpha != 1.0f)) {
        return "matmul: activation or alpha of a plain product";
    }
    reason = ingot_matmul_shape_read(call, 0, &s);
    if (reason == NULL && call->out[0].count > UINT32_MAX) {
        reason = "matmul: too many work units";
    }
    return reason;
}

static uint32_t plain_units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    return out->count == 0 ? 0 : (uint32_t)(out->count / out->dims[out->rank - 1]);
}

static uint64_t plain_state_size(const ingot_call *call) {
    (void)call;
    return sizeof(ingot_matmul_shape);
}

static void plain_prepare(const ingot_call *call) { (void)ingot_matmul_shape_read(call, 0, call->state); }

INGOT_KERNEL_FN(matmul_plain) {
    const ingot_matmul_shape *s = call->state;
    const ingot_matmul_params *p = call->params;
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *b = &call->in[INGOT_MATMUL_B];
    const ingot_arg *residual = &call->in[INGOT_MATMUL_RESIDUAL], *out = &call->out[0];
    const int64_t size = element_size(out->dtype);
    (void)scratch;
    for (uint32_t unit = begin; unit < end; unit++) {
        int64_t a_matrix, b_matrix;
        ingot_matmul_batch(s, unit / s->m, &a_matrix, &b_matrix);
        const int64_t row = unit % s->m, a_first = a_matrix * s->m * s->k + row * (p->trans_a ? 1 : s->k);
        row_task t = {.n = s->n, .k = s->k, .alpha = p->alpha, .bias = call->in[INGOT_MATMUL_BIAS].data};
        t.a = (const char *)a->data + a_first * size;
        t.b = (const char *)b->data + b_matrix * s->k * s->n * size;
        t.out = (char *)out->data + unit * s->n * size;
        t.residual = residual->data != NULL ? (const char *)residual->data + unit * s->n * size : NULL;
        t.a_stride = p->trans_a ? s->m : 1;
        t.b_row = p->trans_b ? 1 : s->n;
        t.b_column = p->trans_b ? s->k : 1;
        (out->dtype == INGOT_F64 ? row_f64 : size == 4 ? row_32 : row_64)(&t);
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_matmul_plain = {
    .params_size = sizeof(ingot_matmul_params),
    .flags = 0,
    .in_min = 4,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_MATMUL_RESIDUAL,
    .check = plain_check,
    .units = plain_units,
    .state_size = plain_state_size,
    .prepare = plain_prepare,
};
