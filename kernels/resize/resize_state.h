/* The tables that prepare makes: for each index of a resized axis of the output, which elements count how much. */
#ifndef INGOT_RESIZE_STATE_H
#define INGOT_RESIZE_STATE_H

#include "resize/resize_taps.h"
#include "strided_copy/movement.h"

/* The output is rows along `row_axis`, of runs that nothing is interpolated in. */
typedef struct resize_state {
    int64_t run;
    int64_t rows;
    int64_t mixed_max;              /* input rows that one output row is mixed from, at most */
    int64_t first[INGOT_MAX_RANK];  /* of each axis up to the row's: its table in `tap` */
    int64_t taps[INGOT_MAX_RANK];   /* taps for each index; 0: no table, the axis is not resized */
    int64_t stride[INGOT_MAX_RANK]; /* of an axis without a table: elements of the input from one index to the next */
    uint32_t row_axis;
    uint32_t reserved;
    resize_tap tap[];
} resize_state;

static inline uint32_t resize_units(const ingot_call *call, const resize_state *state) {
    const ingot_arg *out = &call->out[0];
    return state->rows == 0 ? 1
                            : ingot_units_for(state->rows, out->count / state->rows * ingot_element_size(out->dtype));
}

/* The input rows that output row `row` lies between: their number, 0 when it lies outside. */
static inline int64_t resize_rows_to_mix(const ingot_call *call, const resize_state *state, int64_t row,
                                         resize_tap *mixed) {
    int64_t count = 1;
    mixed[0] = (resize_tap){0, 1.0};
    for (uint32_t axis = state->row_axis; axis-- > 0;) {
        int64_t extent = call->out[0].dims[axis], taps = state->taps[axis];
        const resize_tap *tap = state->tap + state->first[axis] + row % extent * taps;
        if (taps == 0) {
            for (int64_t i = 0; i < count; i++) {
                mixed[i].offset += row % extent * state->stride[axis];
            }
            row /= extent;
            continue;
        }
        row /= extent;
        if (tap[0].offset < 0) {
            return 0;
        }
        for (int64_t i = count - 1; i >= 0; i--) {
            resize_tap base = mixed[i];
            for (int64_t t = 0; t < taps; t++) {
                mixed[i * taps + t] = (resize_tap){base.offset + tap[t].offset, base.weight * tap[t].weight};
            }
        }
        count *= taps;
    }
    return count;
}

/* Shared by the kernels of all types, in resize_cpu.c: of the parameters and extents, not of the types. */
const char *ingot_resize_check(const ingot_call *call);
uint32_t ingot_resize_units(const ingot_call *call);
uint64_t ingot_resize_state_size(const ingot_call *call);
uint64_t ingot_resize_scratch_size(const ingot_call *call);
void ingot_resize_prepare(const ingot_call *call);

#endif
