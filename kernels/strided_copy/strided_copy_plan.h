/* What prepare makes of the parameters and run walks through: a nest of loops around a tile of rows and columns. */
#ifndef INGOT_STRIDED_COPY_PLAN_H
#define INGOT_STRIDED_COPY_PLAN_H

#include <stdint.h>

#include "kernel.h"

typedef struct strided_loop {
    int64_t extent;
    int64_t in, out; /* elements from one step to the next */
} strided_loop;

typedef struct strided_plan {
    strided_loop outer[INGOT_MAX_RANK]; /* outermost first */
    strided_loop rows, cols;            /* the columns lie side by side in the output: cols.out == 1 */
    int64_t row_chunk, col_chunk;       /* an item is one tile of at most this size */
    int64_t row_chunks, col_chunks;
    int64_t items;
    int64_t offset; /* of the first element in the input */
    uint32_t outer_count;
    uint32_t element;   /* bytes: 1, 2, 4, 8 or 16 */
    uint32_t transpose; /* the rows lie side by side in the input: rows.in == 1 */
    uint32_t reserved;
} strided_plan;

#endif
