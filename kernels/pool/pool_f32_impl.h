/* pool_f32: maxima and averages of float32, vectorised over what lies side by side. Compiled for each instruction set.
 *
 * Everything is one primitive: out[j] = fold over up to three axes of taps of p[taps + j], for n elements j side by
 * side. n is the channels of one pixel; or those of many pixels where the stride is 1; or, for windows that are
 * cheaper row by row ("separable"), a whole row of the input folded over the window's height first. */
#include "pool/pool_plan.h"
#include "vec16.h"

INGOT_INLINE v16 pool_step(v16 a, v16 x, int is_max) { return is_max ? v16_max(a, x) : v16_add(a, x); }

INGOT_INLINE void pool_fold_vectors(float *out, const float *p, const pool_taps *taps, int vectors, int is_max,
                                    float scale) {
    v16 acc[4];
    const v16 init = v16_set1(is_max ? -__builtin_inff() : 0.0f);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) acc[v] = init;
    for (int64_t a = 0; a < taps->count[0]; a++) {
        for (int64_t b = 0; b < taps->count[1]; b++) {
            const float *q = p + a * taps->step[0] + b * taps->step[1];
            for (int64_t c = 0; c < taps->count[2]; c++, q += taps->step[2]) {
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++) acc[v] = pool_step(acc[v], v16_load(q + v * 16), is_max);
            }
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        v16_store(out + v * 16, is_max ? acc[v] : v16_mul(acc[v], v16_set1(scale)));
    }
}

INGOT_INLINE void pool_fold_few(float *out, const float *p, const pool_taps *taps, int64_t n, int is_max, float scale) {
    for (int64_t j = 0; j < n; j++) {
        float acc = is_max ? -__builtin_inff() : 0.0f;
        for (int64_t a = 0; a < taps->count[0]; a++) {
            for (int64_t b = 0; b < taps->count[1]; b++) {
                const float *q = p + a * taps->step[0] + b * taps->step[1] + j;
                for (int64_t c = 0; c < taps->count[2]; c++, q += taps->step[2]) {
                    acc = is_max ? (*q < acc ? acc : *q) : acc + *q;
                }
            }
        }
        out[j] = is_max ? acc : acc * scale;
    }
}

INGOT_INLINE void pool_fold_as(float *out, const float *p, const pool_taps *taps, int64_t n, int is_max, float scale) {
    int64_t j = 0;
    for (; j + 64 <= n; j += 64) pool_fold_vectors(out + j, p + j, taps, 4, is_max, scale);
    for (; j + 16 <= n; j += 16) pool_fold_vectors(out + j, p + j, taps, 1, is_max, scale);
    if (j < n && n >= 16) { /* the last vector overlaps the one before */
        pool_fold_vectors(out + n - 16, p + n - 16, taps, 1, is_max, scale);
    } else if (j < n) {
        pool_fold_few(out, p, taps, n, is_max, scale);
    }
}

static void pool_fold(float *out, const float *p, const pool_taps *taps, int64_t n, int is_max, float scale) {
    if (is_max) {
        pool_fold_as(out, p, taps, n, 1, 1.0f);
    } else {
        pool_fold_as(out, p, taps, n, 0, scale);
    }
}

/* How many of the outputs from `first` on have windows that lie whole inside the input. */
static int64_t pool_whole(const pool_axis *axis, int64_t first) {
    int64_t last = axis->in - 1 - (axis->kernel - 1) * axis->dilation + axis->pad_begin; /* stride is 1 */
    if (first < axis->pad_begin || last < first) {
        return 0;
    }
    return (last < axis->out - 1 ? last : axis->out - 1) - first + 1;
}

/* One row of outputs. `taps` holds the two outer axes and `in` points at their first tap; `outer` is how many elements
 * of them an average counts. With `padded`, 16 floats may be read where a narrow pixel has fewer, and such a pixel is
 * written as 16 floats too, as long as they are of this row: the pixels behind it follow and put theirs right. */
static void pool_row(const pool_plan *plan, uint32_t kind, float *out, const float *in, int64_t in_step, pool_taps taps,
                     double outer, int padded) {
    const pool_axis *axis = &plan->axis[2];
    const int is_max = kind == INGOT_POOL_MAX;
    const int side_by_side = axis->stride == 1 && in_step == plan->channels && axis->out_step == plan->channels;
    for (int64_t x = 0; x < axis->out;) {
        int64_t whole = side_by_side ? pool_whole(axis, x) : 0;
        pool_span span = pool_span_of(axis, x);
        double counted = outer * (double)(kind == INGOT_POOL_AVERAGE_PADDED ? span.counted : span.count);
        float scale = counted > 0 ? (float)(1.0 / counted) : 0.0f;
        taps.count[2] = span.count;
        taps.step[2] = pool_tap_step(span.count, axis->dilation, in_step);
        int64_t first = span.count > 0 ? span.first : 0;
        int64_t n = plan->channels * (whole > 1 ? whole : 1);
        if (padded && n < 16 && axis->out_step == plan->channels && (axis->out - x) * plan->channels >= 16) {
            n = 16;
        }
        pool_fold(out + x * axis->out_step, in + first * in_step, &taps, n, is_max, scale);
        x += whole > 1 ? whole : 1;
    }
}

INGOT_KERNEL_FN(pool_f32) {
    const ingot_pool_params *p = call->params;
    const pool_plan plan = pool_plan_of(call);
    const pool_axis *z = &plan.axis[0], *y = &plan.axis[1], *x = &plan.axis[2];
    const int is_max = p->kind == INGOT_POOL_MAX;
    const int separable = pool_is_separable(&plan);
    for (uint32_t unit = begin; unit < end; unit++) {
        int64_t n = unit / (z->out * y->out), oz = unit / y->out % z->out, oy = unit % y->out;
        pool_span a = pool_span_of(z, oz), b = pool_span_of(y, oy);
        double outer = p->kind == INGOT_POOL_AVERAGE_PADDED ? (double)a.counted * (double)b.counted
                                                            : (double)a.count * (double)b.count;
        pool_taps taps = {
            {a.count, b.count, 1},
            {pool_tap_step(a.count, z->dilation, z->in_step), pool_tap_step(b.count, y->dilation, y->in_step), 0}};
        int64_t at = n * plan.in_batch_step;
        if (a.count > 0 && b.count > 0) {
            at += a.first * z->in_step + b.first * y->in_step;
        }
        const float *in = (const float *)call->in[0].data + at;
        float *out = (float *)call->out[0].data + n * plan.out_batch_step + oz * z->out_step + oy * y->out_step;
        if (separable) {
            pool_fold(scratch, in, &taps, x->in * plan.channels, is_max, 1.0f);
            pool_row(&plan, p->kind, out, scratch, plan.channels, (pool_taps){{1, 1, 1}, {0, 0, 0}}, outer, 1);
        } else {
            pool_row(&plan, p->kind, out, in, x->in_step, taps, outer, 0);
        }
    }
    return INGOT_KERNEL_OK;
}
