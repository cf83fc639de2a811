/* The geometry of a pooling: always three spatial axes, and the part of a window that lies inside the input. */
#ifndef INGOT_POOL_PLAN_H
#define INGOT_POOL_PLAN_H

#include <stdint.h>

#include "kernel.h"
#include "pool/pool.h"

typedef struct pool_axis {
    int64_t in, out, kernel, stride, dilation, pad_begin, pad_end;
    int64_t in_step, out_step; /* elements from one index to the next */
} pool_axis;

typedef struct pool_plan {
    pool_axis axis[INGOT_POOL_MAX_SPATIAL]; /* missing ones come first and have extent 1 */
    int64_t batch, channels, in_batch_step, out_batch_step;
} pool_plan;

/* The elements first, first + dilation, ... of one axis that a window takes; `counted` counts the padding too. */
typedef struct pool_span {
    int64_t first, count, counted;
} pool_span;

/* What a window takes: along each axis so many elements, so far from one another. */
typedef struct pool_taps {
    int64_t count[3], step[3];
} pool_taps;

static inline int64_t pool_div_up(int64_t a, int64_t b) { return a <= 0 ? 0 : (a - 1) / b + 1; }

/* The check bounds every number by 2^31, so nothing here overflows. */
static inline pool_span pool_span_of(const pool_axis *axis, int64_t out) {
    int64_t begin = out * axis->stride - axis->pad_begin;
    if (begin >= 0 && begin + (axis->kernel - 1) * axis->dilation < axis->in) {
        return (pool_span){begin, axis->kernel, axis->kernel};
    }
    int64_t skip = pool_div_up(-begin, axis->dilation);
    int64_t fit = pool_div_up(axis->in - begin, axis->dilation);
    int64_t padded = pool_div_up(axis->in + axis->pad_end - begin, axis->dilation);
    int64_t end = fit < axis->kernel ? fit : axis->kernel;
    return (pool_span){begin + skip * axis->dilation, end > skip ? end - skip : 0,
                       padded < axis->kernel ? padded : axis->kernel};
}

static inline pool_plan pool_plan_of(const ingot_call *call) {
    const ingot_pool_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    int spatial = in->rank - 2, missing = INGOT_POOL_MAX_SPATIAL - spatial;
    pool_plan plan = {.batch = in->dims[0], .channels = in->dims[in->rank - 1]};
    /* Extents and pitches of empty operands are not bounded by any memory; nothing is read of them. */
    int64_t in_step = in->count > 0 ? in->pitch : 0, out_step = out->count > 0 ? out->pitch : 0;
    for (int i = INGOT_POOL_MAX_SPATIAL - 1; i >= 0; i--) {
        pool_axis *axis = &plan.axis[i];
        int from = i - missing;
        if (from < 0) {
            *axis = (pool_axis){1, 1, 1, 1, 1, 0, 0, in_step, out_step};
            continue;
        }
        *axis =
            (pool_axis){in->dims[from + 1], out->dims[from + 1], p->kernel[from], p->stride[from], p->dilation[from],
                        p->pad_begin[from], p->pad_end[from],    in_step,         out_step};
        in_step *= in->count > 0 ? axis->in : 0;
        out_step *= out->count > 0 ? axis->out : 0;
    }
    plan.in_batch_step = in_step;
    plan.out_batch_step = out_step;
    return plan;
}

/* Elements from one of `count` taps to the next. */
static inline int64_t pool_tap_step(int64_t count, int64_t dilation, int64_t step) {
    return count > 1 ? dilation * step : 0;
}

/* Whether to fold the rows of a window first, and then its columns: for each input column that is the window's height
 * in loads and one store; done at once, each output takes height times width. Narrow pixels gain by the long rows. */
static inline int pool_is_separable(const pool_plan *plan) {
    const pool_axis *y = &plan->axis[1], *x = &plan->axis[2];
    if ((plan->axis[0].kernel == 1 && y->kernel == 1) || plan->in_batch_step == 0 || x->in_step != plan->channels) {
        return 0;
    }
    return plan->channels < 16 || (y->kernel + 1) * x->stride + x->kernel < y->kernel * x->kernel;
}

/* Shared by the kernels of all types, in pool_cpu.c. */
const char *ingot_pool_check(const ingot_call *call, uint8_t result);
uint32_t ingot_pool_units(const ingot_call *call);

#endif
