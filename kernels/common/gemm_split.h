/* What the runtime asks of a matrix product on CUDA whose depth is spread over the blocks that lie behind each other in
 * its grid (cuda_gemm_split.h). */
#ifndef INGOT_GEMM_SPLIT_H
#define INGOT_GEMM_SPLIT_H

#include "kernel.h"

/* NULL when there is room for the sums of all parts, and a counter for each tile; else the reason. */
static inline const char *ingot_gemm_split_check(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    const uint64_t parts = call->grid->grid[1], columns = out->rank > 0 ? (uint64_t)out->dims[out->rank - 1] : 1;
    if (parts == 1 || out->count == 0) {
        return NULL;
    }
    const uint64_t rows = (uint64_t)out->count / columns, sums = rows * ((columns + 7) / 8 * 8);
    if (call->workspace_size / 4 / parts < sums) {
        return "too small a workspace for parts of the depth";
    }
    return call->grid->counters < call->grid->grid[0] ? "too few counters for parts of the depth" : NULL;
}

#endif
