/* What a check asks of a CUDA step of which gridDim.y blocks have a part of each result. */
#ifndef INGOT_CUDA_PARTS_H
#define INGOT_CUDA_PARTS_H

#include <stdbool.h>

#include "kernel.h"

/* They leave what their parts come to in the workspace, [parts][results] of so many bytes each, and count at most one
 * counter for each result. NULL, or what is missing. */
static inline const char *ingot_parts_check(const ingot_call *call, uint64_t results, uint64_t bytes) {
    const uint64_t parts = call->grid ? call->grid->grid[1] : 1;
    const bool sound =
        parts <= 1 || (results <= call->grid->counters && results <= call->workspace_size / bytes / parts);
    return sound ? NULL : "parts of results without counters or a workspace for them";
}

#endif
