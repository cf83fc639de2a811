/* The tables that prepare makes: for each index of a resized axis of the output, which elements count how much. */
#ifndef INGOT_RESIZE_STATE_H
#define INGOT_RESIZE_STATE_H

#include "strided_copy/movement.h"

typedef struct resize_tap {
    int64_t offset; /* elements from the start of the input; -1: outside, the whole result is the extrapolation value */
    double weight;
} resize_tap;

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

#endif
