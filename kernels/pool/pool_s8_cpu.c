/* pool_s8: what its windows may be. */
#include "pool/pool_s8.h"

#define FOLD(name, T, init, how)                                                                                       \
    void name(T *out, const int8_t *p, const pool_taps *taps, int64_t n) {                                             \
        for (int64_t j = 0; j < n; j++) out[j] = init;                                                                 \
        for (int64_t a = 0; a < taps->count[0]; a++) {                                                                 \
            for (int64_t b = 0; b < taps->count[1]; b++) {                                                             \
                const int8_t *q = p + a * taps->step[0] + b * taps->step[1];                                           \
                for (int64_t c = 0; c < taps->count[2]; c++, q += taps->step[2]) {                                     \
                    for (int64_t j = 0; j < n; j++) out[j] = (T)(how);                                                 \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
static FOLD(largest, int8_t, INT8_MIN, q[j] > out[j] ? q[j] : out[j])

    FOLD(ingot_pool_s8_sum, int32_t, 0, out[j] + q[j])

        POOL_S8_SUM_REAL(sum_real)

            INGOT_KERNEL_FN(pool_s8) {
    static const pool_s8_steps steps = {largest, ingot_pool_s8_sum, INGOT_STORE_SUMS_S8, sum_real,
                                        INGOT_STORE_LINEAR_S8};
    (void)scratch;
    return ingot_pool_s8_run(call, begin, end, &steps);
}

/* Whether the sum over a window stays within int32: of each axis it takes at most what there is. */
static int sums_fit(const ingot_call *call) {
    const ingot_pool_params *p = call->params;
    const ingot_arg *in = &call->in[0];
    int64_t terms = 1;
    if (p->kind == INGOT_POOL_MAX) {
        return 1;
    }
    for (int axis = 0; axis < in->rank - 2; axis++) {
        const int64_t extent = in->dims[axis + 1];
        terms *= extent < p->kernel[axis] ? extent : p->kernel[axis]; /* at most 2^23 * 2^31 */
        if (terms > INGOT_S8_TERMS_MAX) {
            return 0;
        }
    }
    return 1;
}

static const char *check(const ingot_call *call) {
    const ingot_pool_s8_params *p = call->params;
    const uint8_t result = call->out[0].dtype;
    if (call->in[0].dtype != INGOT_I8 || p->pool.kind == INGOT_POOL_LP ||
        (p->pool.kind == INGOT_POOL_MAX && result != INGOT_I8)) {
        return "pool_s8: maxima and averages of int8 only";
    }
    if (p->reserved != 0 || p->model > INGOT_S8_MODEL_U8 ||
        (p->model != INGOT_S8_MODEL_NONE && (p->pool.kind == INGOT_POOL_MAX || result != INGOT_I8))) {
        return "pool_s8: a result of the model's that is none";
    }
    const char *wrong = ingot_s8_scales_check(&p->scales, result);
    if (wrong == NULL) {
        wrong = ingot_pool_check(call, result);
    }
    return wrong == NULL && !sums_fit(call) ? "pool_s8: a sum may overflow" : wrong;
}

/* Once in the code, not three times. */
static __attribute__((noinline)) pool_span span_of(const pool_axis *axis, int64_t out) {
    return pool_span_of(axis, out);
}

int ingot_pool_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, const pool_s8_steps *steps) {
    const ingot_pool_s8_params *p = call->params;
    const pool_plan plan = pool_plan_of(call);
    const pool_axis *z = &plan.axis[0], *y = &plan.axis[1], *x = &plan.axis[2];
    const int is_max = p->pool.kind == INGOT_POOL_MAX, padded = p->pool.kind == INGOT_POOL_AVERAGE_PADDED;
    ingot_requantize average = ingot_s8_result(&p->scales, 0.0f);
    ingot_linear_s8 linear = ingot_s8_linear(&p->scales, p->model);
    int32_t sums[INGOT_S8_GROUP];
    float reals[INGOT_S8_GROUP];
    double previous = -1.0;
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t n = unit / (z->out * y->out), oz = unit / y->out % z->out, oy = unit % y->out;
        const pool_span a = span_of(z, oz), b = span_of(y, oy);
        int64_t at = n * plan.out_batch_step + oz * z->out_step + oy * y->out_step;
        for (int64_t ox = 0; ox < x->out; ox++, at += x->out_step) {
            const pool_span c = span_of(x, ox);
            const int64_t inside = a.count * b.count * c.count;
            const double count = padded ? (double)a.counted * (double)b.counted * (double)c.counted : (double)inside;
            if (count != previous) {
                average.inverse_scale = count > 0.0 ? ingot_s8_multiplier(&p->scales, count) : 0.0f;
                linear.divisor = count > 0.0 ? (float)count : 1.0f;
                previous = count;
            }
            const pool_taps taps = {{a.count, b.count, c.count},
                                    {pool_tap_step(a.count, z->dilation, z->in_step),
                                     pool_tap_step(b.count, y->dilation, y->in_step),
                                     pool_tap_step(c.count, x->dilation, x->in_step)}};
            const int8_t *in = (const int8_t *)call->in[0].data + n * plan.in_batch_step;
            if (inside > 0) {
                in += a.first * z->in_step + b.first * y->in_step + c.first * x->in_step;
            }
            if (is_max) {
                steps->largest((int8_t *)call->out[0].data + at, in, &taps, plan.channels);
                continue;
            }
            const int32_t offset = (int32_t)inside * p->scales.input_zero;
            for (int64_t i = 0; i < plan.channels; i += INGOT_S8_GROUP) {
                const int64_t some = plan.channels - i < INGOT_S8_GROUP ? plan.channels - i : INGOT_S8_GROUP;
                if (p->model != INGOT_S8_MODEL_NONE) {
                    steps->sum_real(reals, in + i, &taps, some, p->scales.input_zero, (float)p->scales.input_scale);
                    steps->store_real(&linear, (int8_t *)call->out[0].data + at + i, reals, some);
                    continue;
                }
                steps->sum(sums, in + i, &taps, some);
                steps->store(&average, &call->out[0], at + i, sums, offset, some);
            }
        }
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_pool_s8 = {
    .params_size = sizeof(ingot_pool_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = ingot_pool_units,
};
