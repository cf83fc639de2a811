/* How a reduction walks its input: adjacent axes of one sort merged, the innermost loops made contiguous. */
#ifndef INGOT_REDUCE_PLAN_H
#define INGOT_REDUCE_PLAN_H

#include <stdint.h>

#include "kernel.h"

enum {
    REDUCE_ROWS = 128,    /* rows folded into them before they are joined to the total: long sums stay accurate */
    REDUCE_COLUMNS = 256, /* wider rows are split into units */
};

typedef struct reduce_loop {
    int64_t extent, stride;
} reduce_loop;

/* For each combination of the kept loops, and each of the reduced ones, lies a block [rows][columns], its rows
 * `row_step` apart, of which each column is folded. With `in_runs` there is one column and the rows lie side by side.
 */
typedef struct reduce_plan {
    reduce_loop kept[INGOT_MAX_RANK], reduced[INGOT_MAX_RANK];
    int64_t kept_count, reduced_count;
    int64_t outer, blocks; /* products of the kept and of the reduced loops */
    int64_t rows, columns, row_step;
    int64_t in_runs;
    int64_t reduced_extent; /* elements that become one */
    int64_t units_across;   /* units that share a row of columns */
    int64_t grain;          /* outer positions of one unit */
} reduce_plan;

/* Offset of the `index`th combination of loops, the last loop running fastest. */
static inline int64_t reduce_offset(const reduce_loop *loops, int64_t count, int64_t index) {
    int64_t offset = 0;
    for (int64_t i = count - 1; i > 0; i--) {
        offset += index % loops[i].extent * loops[i].stride;
        index /= loops[i].extent;
    }
    return count > 0 ? offset + index * loops[0].stride : 0;
}

/* Shared by the kernels of all types, in reduce_cpu.c. The first prepares a reduce_plan. */
void ingot_reduce_prepare(const ingot_call *call);
uint64_t ingot_reduce_state_size(const ingot_call *call);
uint32_t ingot_reduce_units(const ingot_call *call);
const char *ingot_reduce_check(const ingot_call *call, uint8_t result);

#endif
