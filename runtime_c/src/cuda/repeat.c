#include "repeat.h"

#include <stdlib.h>
#include <string.h>

#include "cuda_call.h"

enum { SLOT_ALIGN = 256 };

/* Bytes of an operand that is a constant, else 0. */
static uint64_t constant_size(const ingot_context *c, uint32_t step, uint32_t operand) {
    const ingot_file *f = &c->engine->file;
    const uint32_t id = ingot_get_operand(f, c->program->steps[step].record, operand);
    if (c->steps[step].call.in[operand].storage != INGOT_STORAGE_CONSTANT || id == INGOT_NO_INDEX) return 0;
    const ingot_tensor *t = ingot_get_tensor(f, c->program->record, id);
    return ingot_view_bytes(t->dtype, t->rank, t->dims, t->pitch);
}

static uint64_t slot_size(uint64_t size) { return size ? ingot_align(size + INGOT_TAIL_BYTES, SLOT_ALIGN) : 0; }

uint64_t ingot_cuda_repeat_bytes(const ingot_context *c) {
    uint64_t size = 0;
    for (uint32_t s = 0; s < c->step_count; s++)
        for (uint32_t k = 0; k < c->steps[s].call.in_count; k++) size += slot_size(constant_size(c, s, k));
    return size;
}

/* Gives a step's constants their copies at `*at`, and moves that on. */
static ingot_status copy_constants(ingot_context *c, uint32_t step, ingot_cuda_arg *args, CUdeviceptr *at,
                                   ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    ingot_status status = INGOT_OK;
    for (uint32_t k = 0; k < c->steps[step].call.in_count; k++) {
        const uint64_t size = constant_size(c, step, k);
        if (!size) continue;
        if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemcpyDtoDAsync, *at, (CUdeviceptr)(uintptr_t)args[k].data,
                            size, cuda->stream))
            return status;
        args[k].data = (uint8_t *)(uintptr_t)*at;
        *at += slot_size(size);
    }
    return status;
}

/* A kernel may start before the one ends that it waits for, as in the graph of a program. */
static const CUgraphEdgeData early_edge = {.from_port = CU_PORT_PROGRAMMATIC, .type = CU_DEPENDENCY_PROGRAMMATIC};
static int overlaps(const ingot_context *c) {
    return c->program->record->flags & INGOT_PROGRAM_OVERLAPS && c->cuda->driver->cuGraphAddDependencies;
}

/* One node for each step of a run; `*last` is the one before and then the last. */
static ingot_status add_run(ingot_context *c, CUgraph graph, CUgraphNode *last, CUdeviceptr *copies, uint8_t *block,
                            ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    ingot_status status = INGOT_OK;
    for (uint32_t i = 0; i < c->step_count && !status; i++) {
        const ingot_call *call = &c->steps[i].call;
        const ingot_step *s = c->program->steps[i].record;
        memcpy(block, cuda->steps[i].call,
               ingot_cuda_block_size(call->in_count + call->out_count, c->program->steps[i].kernel->family));
        if (*copies) status = copy_constants(c, i, (ingot_cuda_arg *)(void *)block, copies, error);
        if (*copies && !status) status = ingot_cuda_map(c, i, block, error);
        if (status) break;
        void *params = block;
        const ingot_grid *g = call->grid;
        const CUDA_KERNEL_NODE_PARAMS kernel = {.func = cuda->steps[i].function,
                                                .grid = {g->grid[0], g->grid[1], g->grid[2]},
                                                .block = {g->block[0], g->block[1], g->block[2]},
                                                .shared_bytes = g->shared_bytes,
                                                .params = &params};
        const char *name = ingot_file_string(&c->engine->file, s->name);
        const int early = overlaps(c) && *last;
        CUgraphNode node = NULL;
        if (INGOT_CUDA_TRY(status, cuda, name, error, cuGraphAddKernelNode, &node, graph, last, *last && !early,
                           &kernel) &&
            early)
            INGOT_CUDA_TRY(status, cuda, name, error, cuGraphAddDependencies, graph, last, &node, &early_edge, 1);
        *last = node;
    }
    return status;
}

static ingot_status make(ingot_context *c, uint32_t runs, int apart, ingot_cuda_repeat *r, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    ingot_status status = INGOT_OK;
    const uint64_t more = apart ? (runs - 1) * ingot_cuda_repeat_bytes(c) : 0;
    if (more && !INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemAlloc, &r->copies, more)) return status;
    if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphCreate, &r->graph, 0)) return status;
    uint8_t *block = aligned_alloc(64, INGOT_CUDA_MAX_BLOCK);
    if (!block) return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory to make a graph");
    CUgraphNode last = NULL;
    CUdeviceptr first = 0, at = r->copies;
    for (uint32_t i = 0; i < runs && !status; i++)
        status = add_run(c, r->graph, &last, i && r->copies ? &at : &first, block, error);
    free(block);
    if (!status) INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphInstantiateWithFlags, &r->executable, r->graph, 0);
    if (!status) INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphUpload, r->executable, cuda->stream);
    if (!status) INGOT_CUDA_TRY(status, cuda, NULL, error, cuStreamSynchronize, cuda->stream);
    return status;
}

ingot_status ingot_cuda_repeat_make(ingot_context *c, uint32_t runs, int apart, ingot_cuda_repeat *r,
                                    ingot_error *error) {
    memset(r, 0, sizeof *r);
    ingot_status status = ingot_cuda_enter(c->cuda, error);
    if (status) return status;
    status = make(c, runs, apart, r, error);
    ingot_cuda_leave(c->cuda);
    if (status) ingot_cuda_repeat_end(c, r, NULL);
    return status;
}

ingot_status ingot_cuda_repeat_end(const ingot_context *c, ingot_cuda_repeat *r, ingot_error *error) {
    const ingot_driver *driver = c->cuda->driver;
    if (!r->graph && !r->copies) return INGOT_OK;
    const ingot_status status = ingot_cuda_enter(c->cuda, error);
    if (status) return status;
    driver->cuStreamSynchronize(c->cuda->stream);
    if (r->executable) driver->cuGraphExecDestroy(r->executable);
    if (r->graph) driver->cuGraphDestroy(r->graph);
    if (r->copies) driver->cuMemFree(r->copies);
    ingot_cuda_leave(c->cuda);
    memset(r, 0, sizeof *r);
    return INGOT_OK;
}

ingot_status ingot_cuda_repeat_time(ingot_context *c, const ingot_cuda_repeat *r, CUdeviceptr other, uint64_t size,
                                    int empty, double *nanoseconds, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    const CUstream stream = cuda->stream;
    float milliseconds = 0;
    ingot_status status = ingot_cuda_enter(cuda, error);
    if (status) return status;
    if (size)
        INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemsetD8Async, other, 0, size, stream);
    else
        INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphLaunch, r->executable, stream);
    if (!status && INGOT_CUDA_TRY(status, cuda, NULL, error, cuEventRecord, cuda->marks[0], stream) &&
        (empty || INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphLaunch, r->executable, stream)) &&
        INGOT_CUDA_TRY(status, cuda, NULL, error, cuEventRecord, cuda->marks[1], stream) &&
        INGOT_CUDA_TRY(status, cuda, NULL, error, cuStreamSynchronize, stream))
        INGOT_CUDA_TRY(status, cuda, NULL, error, cuEventElapsedTime, &milliseconds, cuda->marks[0], cuda->marks[1]);
    ingot_cuda_leave(cuda);
    *nanoseconds = (double)milliseconds * 1e6;
    return status;
}
