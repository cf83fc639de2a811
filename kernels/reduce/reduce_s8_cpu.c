/* reduce_s8: what may be added up. Maxima and minima of int8 are the kernel reduce. */
#include <string.h>

#include "reduce/reduce_s8.h"

static void columns(int32_t *total, const int8_t *p, int64_t rows, int64_t row_step, int64_t n) {
    for (int64_t row = 0; row < rows; row++, p += row_step) {
        for (int64_t j = 0; j < n; j++) total[j] += p[j];
    }
}

static int32_t run(const int8_t *p, int64_t n) {
    int32_t total = 0;
    for (int64_t i = 0; i < n; i++) total += p[i];
    return total;
}

INGOT_KERNEL_FN(reduce_s8) {
    static const reduce_s8_steps steps = {columns, run, INGOT_STORE_SUMS_S8};
    (void)scratch;
    return ingot_reduce_s8_run(call, begin, end, &steps);
}

static const char *check(const ingot_call *call) {
    const ingot_reduce_s8_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (in->dtype != INGOT_I8 || (p->reduce.kind != INGOT_REDUCE_SUM && p->reduce.kind != INGOT_REDUCE_MEAN)) {
        return "reduce_s8: sums and means of int8 only";
    }
    const char *wrong = ingot_s8_scales_check(&p->scales, out->dtype);
    if (wrong == NULL) {
        wrong = ingot_reduce_check(call, out->dtype);
    }
    if (wrong == NULL && out->count > 0 && in->count / out->count > INGOT_S8_TERMS_MAX) {
        return "reduce_s8: a sum may overflow";
    }
    return wrong;
}

/* The sum less the zero points is exact; then it is multiplied by scale / count and stored. */
static void reduce_unit(const ingot_call *call, const reduce_s8_steps *steps, const reduce_plan *plan,
                        const ingot_requantize *result, int32_t offset, int64_t unit) {
    const int64_t first = unit % plan->units_across * REDUCE_COLUMNS;
    const int64_t last = plan->columns - first < REDUCE_COLUMNS ? plan->columns : first + REDUCE_COLUMNS;
    int64_t outer = unit / plan->units_across * plan->grain;
    const int64_t end = plan->outer - outer < plan->grain ? plan->outer : outer + plan->grain;
    for (; outer < end; outer++) {
        const int8_t *p = (const int8_t *)call->in[0].data + reduce_offset(plan->kept, plan->kept_count, outer);
        int32_t total[REDUCE_COLUMNS];
        memset(total, 0, (size_t)((last - first + INGOT_S8_SUMS - 1) / INGOT_S8_SUMS * INGOT_S8_SUMS) * sizeof *total);
        for (int64_t block = 0; block < plan->blocks; block++) {
            const int8_t *q = p + reduce_offset(plan->reduced, plan->reduced_count, block) + first;
            if (plan->in_runs) {
                total[0] += steps->run(q, plan->rows);
            } else {
                steps->columns(total, q, plan->rows, plan->row_step, last - first);
            }
        }
        steps->store(result, &call->out[0], outer * plan->columns + first, total, offset, last - first);
    }
}

int ingot_reduce_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, const reduce_s8_steps *steps) {
    const ingot_reduce_s8_params *p = call->params;
    const reduce_plan *plan = call->state;
    const double count = p->reduce.kind == INGOT_REDUCE_MEAN ? (double)plan->reduced_extent : 1.0;
    const ingot_requantize result = ingot_s8_result(&p->scales, ingot_s8_multiplier(&p->scales, count));
    const int32_t offset = (int32_t)plan->reduced_extent * p->scales.input_zero;
    for (uint32_t unit = begin; unit < end; unit++) {
        reduce_unit(call, steps, plan, &result, offset, unit);
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_reduce_s8 = {
    .params_size = sizeof(ingot_reduce_s8_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = ingot_reduce_units,
    .state_size = ingot_reduce_state_size,
    .prepare = ingot_reduce_prepare,
};
