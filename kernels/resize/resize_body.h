/* The work of resize, compiled once for each instruction set. An output row is made in two steps: the input rows that
 * it lies between are mixed to one row, and the result is interpolated along that row. Every step is a plain loop over
 * elements side by side, with the same operations in the same order on every instruction set. */
#include "resize/resize.h"
#include "resize/resize_state.h"

#define RESIZE_FUNCTIONS(TYPE)                                                                                         \
    /* to = the weighted sum of `count` pieces of `n` elements */                                                      \
    static void mix_##TYPE(TYPE *restrict to, const TYPE *restrict from, const resize_tap *tap, int64_t count,         \
                           int64_t n) {                                                                                \
        const TYPE *restrict a = from + tap[0].offset;                                                                 \
        TYPE wa = (TYPE)tap[0].weight;                                                                                 \
        if (count == 2) {                                                                                              \
            const TYPE *restrict b = from + tap[1].offset;                                                             \
            TYPE wb = (TYPE)tap[1].weight;                                                                             \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                to[i] = wa * a[i] + wb * b[i];                                                                         \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            to[i] = wa * a[i];                                                                                         \
        }                                                                                                              \
        for (int64_t t = 1; t < count; t++) {                                                                          \
            const TYPE *restrict b = from + tap[t].offset;                                                             \
            TYPE wb = (TYPE)tap[t].weight;                                                                             \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                to[i] += wb * b[i];                                                                                    \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    /* The same for runs of one element, where the loop goes along the row instead */                                  \
    static void mix_single_##TYPE(TYPE *restrict to, const TYPE *restrict from, const resize_tap *tap, int64_t taps,   \
                                  int64_t width, TYPE outside) {                                                       \
        if (taps == 2 && tap[0].offset >= 0 && tap[2 * width - 1].offset >= 0) { /* the places are in order */         \
            for (int64_t x = 0; x < width; x++, tap += 2) {                                                            \
                to[x] = (TYPE)tap[0].weight * from[tap[0].offset] + (TYPE)tap[1].weight * from[tap[1].offset];         \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t x = 0; x < width; x++, tap += taps) {                                                             \
            TYPE sum = 0;                                                                                              \
            for (int64_t t = 0; t < taps; t++) {                                                                       \
                sum += (TYPE)tap[t].weight * (tap[t].offset < 0 ? 0 : from[tap[t].offset]);                            \
            }                                                                                                          \
            to[x] = tap[0].offset < 0 ? outside : sum;                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    static void row_##TYPE(TYPE *to, int64_t to_step, const TYPE *from, const resize_tap *tap, int64_t taps,           \
                           int64_t width, int64_t run, TYPE outside) {                                                 \
        if (run == 1 && to_step == 1) {                                                                                \
            mix_single_##TYPE(to, from, tap, taps, width, outside);                                                    \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t x = 0; x < width; x++, tap += taps, to += to_step) {                                              \
            if (tap[0].offset >= 0) {                                                                                  \
                mix_##TYPE(to, from, tap, taps, run);                                                                  \
                continue;                                                                                              \
            }                                                                                                          \
            for (int64_t i = 0; i < run; i++) {                                                                        \
                to[i] = outside;                                                                                       \
            }                                                                                                          \
        }                                                                                                              \
    }
RESIZE_FUNCTIONS(float)
RESIZE_FUNCTIONS(double)

/* Nothing to weigh: runs of bytes. */
static void copy_row(char *to, int64_t to_step, const char *from, const resize_tap *tap, int64_t width, int64_t run,
                     int64_t size) {
    if (run == 1 && size == 4 && to_step == 1) {
        for (int64_t x = 0; x < width; x++) {
            ((ingot_u32_any *)to)[x] = ((const ingot_u32_any *)from)[tap[x].offset];
        }
        return;
    }
    for (int64_t x = 0; x < width; x++) {
        ingot_copy_run(to + x * to_step * size, from + tap[x].offset * size, run * size);
    }
}

static void extrapolate(char *to, int64_t to_step, int64_t width, int64_t run, int64_t size, double value) {
    float narrow = (float)value;
    for (int64_t x = 0; x < width; x++) {
        ingot_fill_run(to + x * to_step * size, size == 4 ? (const void *)&narrow : (const void *)&value, size, run);
    }
}

INGOT_KERNEL_FN(resize) {
    const ingot_resize_params *p = call->params;
    const resize_state *state = call->state;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    uint32_t all = resize_units(call, state), axis = state->row_axis;
    int64_t size = ingot_element_size(out->dtype), width = out->dims[axis], run = state->run, taps = state->taps[axis];
    int64_t to_step = run, row_step = width * run, in_row = in->dims[axis] * run, previous = -1;
    if (axis + 1U == out->rank) {
        row_step = out->pitch;
    } else if (axis + 2U == out->rank) {
        to_step = out->pitch;
        row_step = width * out->pitch;
    }
    resize_tap *mixed = scratch;
    char *mixed_row = (char *)(mixed + state->mixed_max);
    const resize_tap *table = state->tap + state->first[axis];
    int64_t last = ingot_unit_begin(state->rows, all, end);
    for (int64_t row = ingot_unit_begin(state->rows, all, begin); row < last; row++) {
        char *to = (char *)out->data + row * row_step * size;
        int64_t count = resize_rows_to_mix(call, state, row, mixed);
        if (count == 0) {
            extrapolate(to, to_step, width, run, size, p->extrapolation);
            previous = -1;
            continue;
        }
        const char *from = (const char *)in->data + mixed[0].offset * size;
        bool same = count == 1 && mixed[0].offset == previous && (to_step == run || axis + 1U == out->rank);
        previous = count == 1 ? mixed[0].offset : -1;
        if (same) { /* the row above shows the same input row */
            memcpy(to, to - row_step * size, (size_t)(width * run * size));
            continue;
        }
        if (p->mode == INGOT_RESIZE_NEAREST && p->coordinate != INGOT_RESIZE_TF_CROP_AND_RESIZE) {
            copy_row(to, to_step, from, table, width, run, size);
            continue;
        }
        if (out->dtype == INGOT_F32) {
            if (count > 1) {
                mix_float((float *)(void *)mixed_row, in->data, mixed, count, in_row);
                from = mixed_row;
            }
            row_float((float *)(void *)to, to_step, (const float *)(const void *)from, table, taps, width, run,
                      (float)p->extrapolation);
        } else {
            if (count > 1) {
                mix_double((double *)(void *)mixed_row, in->data, mixed, count, in_row);
                from = mixed_row;
            }
            row_double((double *)(void *)to, to_step, (const double *)(const void *)from, table, taps, width, run,
                       p->extrapolation);
        }
    }
    return INGOT_KERNEL_OK;
}
