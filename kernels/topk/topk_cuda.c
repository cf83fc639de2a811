/* topk_sort_cuda: the rules of the CPU's kernel, and a workspace in which each block sorts a line. */
#include "topk/topk.h"

#include "strided_copy/movement.h"

extern const ingot_family ingot_family_topk;

static const char *check(const ingot_call *call) {
    const ingot_topk_params *p = call->params;
    const char *wrong = ingot_family_topk.check(call);
    if (wrong != NULL) {
        return wrong;
    }
    uint64_t size = 2;
    while (size < (uint64_t)call->in[0].dims[p->axis] && size < (uint64_t)1 << 32) size *= 2;
    const uint64_t entry = sizeof(uint64_t) + sizeof(uint32_t);
    const uint64_t blocks = call->grid != NULL ? call->grid->grid[0] : 1;
    return call->workspace_size / entry / size < blocks ? "topk: the workspace is too small" : NULL;
}

const ingot_family ingot_family_topk_sort_cuda = {
    .params_size = sizeof(ingot_topk_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 1,
    .out_min = 2,
    .out_max = 2,
    .check = check,
};
