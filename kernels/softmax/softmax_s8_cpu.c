/* softmax_s8: what it takes, and its lines. */
#include "softmax/softmax_s8_impl.h"

static const char *check(const ingot_call *call) {
    const ingot_softmax_s8_params *p = call->params;
    const ingot_arg *table = &call->in[1];
    const uint8_t result = call->out[0].dtype;
    if (p->softmax.kind != INGOT_SOFTMAX || table->dtype != INGOT_U32 || table->rank != 1 || table->count != 256) {
        return "softmax_s8: another kind, or no table of 256 exponentials";
    }
    const char *wrong = ingot_s8_scales_check(&p->scales, result);
    return wrong == NULL ? ingot_softmax_check(call, INGOT_I8, result) : wrong;
}

/* Those of up to 256 elements, `step` apart, and their sum. */
static uint64_t exponentials(int32_t *e, const int8_t *x, const uint32_t *table, int8_t most, int64_t n, int64_t step) {
    const int64_t some = n < INGOT_S8_GROUP ? n : INGOT_S8_GROUP;
    uint64_t sum = 0;
    for (int64_t i = 0; i < some; i++, x += step) {
        const uint32_t t = table[most - *x];
        sum += t;
        e[i] = (int32_t)t;
    }
    return sum;
}

/* Of d steps below the largest element the exponential is entry d of a table of whole numbers; their sum is exact; then
 * one division, and what is stored is rounded. n elements, `step` apart. Any entries of the table do no harm. */
static void softmax_line(const ingot_call *call, const softmax_s8_steps *steps, const ingot_requantize *result,
                         int64_t at, int64_t n, int64_t step) {
    const uint32_t *table = call->in[1].data;
    const int8_t *x = (const int8_t *)call->in[0].data + at;
    const ingot_arg *out = &call->out[0];
    const int64_t size = ingot_s8_result_size(out->dtype);
    int8_t most = x[0];
    uint64_t sum = 0;
    if (step == 1) {
        most = steps->largest(x, n);
    } else {
        for (int64_t i = 1; i < n; i++) most = x[i * step] > most ? x[i * step] : most;
    }
    int32_t e[INGOT_S8_GROUP];
    float p[INGOT_S8_GROUP];
    const int64_t last = n > 0 ? (n - 1) / INGOT_S8_GROUP * INGOT_S8_GROUP : 0; /* e keeps what begins here */
    for (int64_t first = 0; first < n; first += INGOT_S8_GROUP) {
        sum += exponentials(e, x + first * step, table, most, n - first, step);
    }
    const float total = (float)(int64_t)sum;
    for (int64_t k = 0; k < n; k += INGOT_S8_GROUP) {
        const int64_t first = k == 0 ? last : k - INGOT_S8_GROUP;
        const int64_t some = n - first < INGOT_S8_GROUP ? n - first : INGOT_S8_GROUP;
        char *y = (char *)out->data + (at + first * step) * size;
        if (first != last) {
            exponentials(e, x + first * step, table, most, some, step);
        }
        steps->divide(result, out->dtype, step == 1 ? (void *)y : p, e, total, some);
        for (int64_t i = 0; step != 1 && i < some; i++) {
            memcpy(y + i * step * size, (const char *)p + i * size, (size_t)size);
        }
    }
}

int ingot_softmax_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, const softmax_s8_steps *steps) {
    const ingot_softmax_s8_params *p = call->params;
    const softmax_shape shape = softmax_shape_of(call);
    const ingot_requantize result = ingot_s8_result(&p->scales, (float)(1.0 / p->scales.output_scale));
    for (int64_t unit = begin; unit < end; unit++) {
        /* lines are the rows of a unit, or columns side by side */
        int64_t at = unit * shape.grain * shape.n, line_step = shape.n, lines = shape.outer - unit * shape.grain;
        int64_t most = shape.grain;
        if (shape.inner > 1) {
            const int64_t column = unit % shape.across * SOFTMAX_COLUMNS;
            at = unit / shape.across * shape.n * shape.inner + column;
            line_step = 1;
            lines = shape.inner - column;
            most = SOFTMAX_COLUMNS;
        }
        for (int64_t line = 0; line < lines && line < most; line++) {
            softmax_line(call, steps, &result, at + line * line_step, shape.n, shape.inner);
        }
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_softmax_s8 = {
    .params_size = sizeof(ingot_softmax_s8_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 2,
    .in_max = 2,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1,
    .check = check,
    .units = ingot_softmax_units,
};
