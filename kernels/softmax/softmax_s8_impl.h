/* softmax_s8, compiled once for each instruction set. Of d steps below the largest element the exponential is entry d
 * of a table of whole numbers; their sum is exact; then one division, and what is stored is rounded. */
#include <string.h>

#include "softmax/softmax_shape.h"

enum { SOFTMAX_S8_BLOCK = 64 };

/* n elements, `step` apart. Entries are at most 2^31 in a file of ours; others give other numbers, no more. */
static void softmax_s8_line(const ingot_call *call, const ingot_requantize *result, int64_t at, int64_t n,
                            int64_t step) {
    const uint32_t *table = call->in[1].data;
    const int8_t *x = (const int8_t *)call->in[0].data + at;
    const ingot_arg *out = &call->out[0];
    const int64_t size = ingot_s8_result_size(out->dtype);
    int8_t most = INT8_MIN;
    uint64_t sum = 0;
    if (step == 1) {
        for (int64_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    } else {
        for (int64_t i = 0; i < n; i++) most = x[i * step] > most ? x[i * step] : most;
    }
    for (int64_t i = 0; i < n; i++) sum += table[most - x[i * step]];
    const float total = (float)(int64_t)sum;
    for (int64_t first = 0; first < n; first += SOFTMAX_S8_BLOCK) {
        const int64_t some = n - first < SOFTMAX_S8_BLOCK ? n - first : SOFTMAX_S8_BLOCK;
        char *y = (char *)out->data + (at + first * step) * size;
        int32_t e[SOFTMAX_S8_BLOCK] = {0};
        float p[SOFTMAX_S8_BLOCK];
        for (int64_t i = 0; i < some; i++) e[i] = (int32_t)table[most - x[(first + i) * step]];
        for (int i = 0; i < SOFTMAX_S8_BLOCK; i++) p[i] = (float)e[i] / total;
        if (step == 1) {
            INGOT_STORE_S8(result, out->dtype, y, p, some);
            continue;
        }
        INGOT_STORE_S8(result, out->dtype, p, p, some);
        for (int64_t i = 0; i < some; i++) memcpy(y + i * step * size, (const char *)p + i * size, (size_t)size);
    }
}

INGOT_KERNEL_FN(softmax_s8) {
    (void)scratch;
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
            softmax_s8_line(call, &result, at + line * line_step, shape.n, shape.inner);
        }
    }
    return INGOT_KERNEL_OK;
}
