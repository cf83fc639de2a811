/* resize_s8, compiled once for each instruction set: linear interpolation of int8 with whole weights, exact; then one
 * multiplication, and what is stored is rounded. In two steps, like resize: rows, and then along the row. */
#include "resize/resize.h"
#include "resize/resize_state.h"

/* The weighted sum of a few pieces of n elements. */
static void resize_s8_mix(int32_t *restrict to, const int8_t *from, const resize_tap *tap, int64_t taps, int64_t n) {
    const int8_t *a = from + tap[0].offset, *b = from + tap[taps - 1].offset;
    const int32_t wa = (int32_t)tap[0].weight, wb = taps > 1 ? (int32_t)tap[taps - 1].weight : 0;
    for (int64_t i = 0; i < n; i++) to[i] = wa * a[i] + wb * b[i];
    for (int64_t t = 1; t < taps - 1; t++) {
        const int8_t *c = from + tap[t].offset;
        const int32_t wc = (int32_t)tap[t].weight;
        for (int64_t i = 0; i < n; i++) to[i] += wc * c[i];
    }
}

/* `width` runs of results, `to_step` elements apart, from element `at` on. */
static void resize_s8_row(const ingot_requantize *result, const ingot_arg *out, int64_t at, int64_t to_step,
                          const int32_t *from, const resize_tap *tap, int64_t taps, int64_t width, int64_t run,
                          int32_t offset) {
    int32_t sum[INGOT_S8_SUMS] = {0};
    if (run == 1 && to_step == 1) {
        for (int64_t x = 0; x < width; x += INGOT_S8_SUMS) {
            const int64_t n = width - x < INGOT_S8_SUMS ? width - x : INGOT_S8_SUMS;
            for (int64_t j = 0; j < n; j++) {
                const resize_tap *left = tap + (x + j) * taps, *right = left + taps - 1;
                const int32_t weight = taps > 1 ? (int32_t)right->weight : 0;
                sum[j] = (int32_t)left->weight * from[left->offset] + weight * from[right->offset];
            }
            ingot_s8_store_sums(result, out, at + x, sum, offset, n);
        }
        return;
    }
    for (int64_t x = 0; x < width; x++, tap += taps, at += to_step) {
        const int32_t *left = from + tap[0].offset, *right = from + tap[taps - 1].offset;
        const int32_t wl = (int32_t)tap[0].weight, wr = taps > 1 ? (int32_t)tap[taps - 1].weight : 0;
        for (int64_t i = 0; i < run; i += INGOT_S8_SUMS) {
            const int64_t n = run - i < INGOT_S8_SUMS ? run - i : INGOT_S8_SUMS;
            for (int64_t j = 0; j < n; j++) sum[j] = wl * left[i + j] + wr * right[i + j];
            ingot_s8_store_sums(result, out, at + i, sum, offset, n);
        }
    }
}

INGOT_KERNEL_FN(resize_s8) {
    const ingot_resize_s8_params *p = call->params;
    const resize_state *state = call->state;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    const uint32_t all = resize_units(call, state), axis = state->row_axis;
    const int64_t width = out->dims[axis], run = state->run, in_row = in->dims[axis] * run;
    int64_t to_step = run, row_step = width * run;
    if (axis + 1U == out->rank) {
        row_step = out->pitch;
    } else if (axis + 2U == out->rank) {
        to_step = out->pitch;
        row_step = width * out->pitch;
    }
    int32_t one = 1; /* the sum of the weights */
    for (uint32_t axes = p->resize.axes; axes != 0; axes &= axes - 1) one *= 1 << INGOT_RESIZE_S8_BITS;
    const ingot_requantize result = ingot_s8_result(&p->scales, ingot_s8_multiplier(&p->scales, (double)one));
    resize_tap *mixed = scratch;
    int32_t *mixed_row = (int32_t *)(void *)(mixed + state->mixed_max);
    const int64_t last = ingot_unit_begin(state->rows, all, end);
    for (int64_t row = ingot_unit_begin(state->rows, all, begin); row < last; row++) {
        const int64_t count = resize_rows_to_mix(call, state, row, mixed);
        resize_s8_mix(mixed_row, in->data, mixed, count, in_row);
        resize_s8_row(&result, out, row * row_step, to_step, mixed_row, state->tap + state->first[axis],
                      state->taps[axis], width, run, one * p->scales.input_zero);
    }
    return INGOT_KERNEL_OK;
}
