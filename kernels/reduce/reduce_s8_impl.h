/* reduce_s8, compiled once for each instruction set: sums and means of int8. The sum less the zero points is exact;
 * then it is multiplied by scale / count and stored. */
#include <string.h>

#include "reduce/reduce.h"
#include "reduce/reduce_plan.h"

_Static_assert(REDUCE_ROWS <= 256, "so many int8 numbers add up to an int16");

/* n <= 32 columns, in registers: fewer are copied to where 32 can be read. */
static void reduce_s8_columns(int32_t *total, const int8_t *p, int64_t rows, int64_t row_step, int64_t n) {
    int8_t few[INGOT_S8_SUMS] = {0};
    while (rows > 0) {
        int16_t part[INGOT_S8_SUMS] = {0};
        for (int64_t row = 0; row < REDUCE_ROWS && rows > 0; row++, rows--, p += row_step) {
            const int8_t *x = p;
            if (n < INGOT_S8_SUMS) {
                memcpy(few, p, (size_t)n);
                x = few;
            }
            for (int j = 0; j < INGOT_S8_SUMS; j++) part[j] = (int16_t)(part[j] + x[j]);
        }
        for (int j = 0; j < INGOT_S8_SUMS; j++) total[j] += part[j];
    }
}

static int32_t reduce_s8_run(const int8_t *p, int64_t n) {
    int32_t total = 0;
    for (int64_t i = 0; i < n; i++) total += p[i];
    return total;
}

static void reduce_s8_unit(const ingot_call *call, const reduce_plan *plan, const ingot_requantize *result,
                           int32_t offset, int64_t unit) {
    const int64_t first = unit % plan->units_across * REDUCE_COLUMNS;
    const int64_t last = plan->columns - first < REDUCE_COLUMNS ? plan->columns : first + REDUCE_COLUMNS;
    int64_t outer = unit / plan->units_across * plan->grain;
    const int64_t end = plan->outer - outer < plan->grain ? plan->outer : outer + plan->grain;
    for (; outer < end; outer++) {
        const int8_t *p = (const int8_t *)call->in[0].data + reduce_offset(plan->kept, plan->kept_count, outer);
        for (int64_t column = first; column < last; column += INGOT_S8_SUMS) {
            const int64_t n = last - column < INGOT_S8_SUMS ? last - column : INGOT_S8_SUMS;
            int32_t total[INGOT_S8_SUMS] = {0};
            for (int64_t block = 0; block < plan->blocks; block++) {
                const int8_t *q = p + reduce_offset(plan->reduced, plan->reduced_count, block) + column;
                if (plan->in_runs) {
                    total[0] += reduce_s8_run(q, plan->rows);
                } else {
                    reduce_s8_columns(total, q, plan->rows, plan->row_step, n);
                }
            }
            ingot_s8_store_sums(result, &call->out[0], outer * plan->columns + column, total, offset, n);
        }
    }
}

INGOT_KERNEL_FN(reduce_s8) {
    (void)scratch;
    const ingot_reduce_s8_params *p = call->params;
    const reduce_plan *plan = call->state;
    const double count = p->reduce.kind == INGOT_REDUCE_MEAN ? (double)plan->reduced_extent : 1.0;
    const ingot_requantize result = ingot_s8_result(&p->scales, ingot_s8_multiplier(&p->scales, count));
    const int32_t offset = (int32_t)plan->reduced_extent * p->scales.input_zero;
    for (uint32_t unit = begin; unit < end; unit++) {
        reduce_s8_unit(call, plan, &result, offset, unit);
    }
    return INGOT_KERNEL_OK;
}
