/* A program as one executable graph, and what binding changes in it. */
#include <stdlib.h>
#include <string.h>

#include "cuda.h"
#include "cuda_call.h"

static const char *step_name(const ingot_context *c, uint32_t step) {
    return ingot_file_string(&c->engine->file, c->program->steps[step].record->name);
}

static CUDA_KERNEL_NODE_PARAMS kernel_of(const ingot_context *c, uint32_t i, void **call) {
    const ingot_grid *g = c->steps[i].call.grid;
    *call = c->cuda->steps[i].call;
    return (CUDA_KERNEL_NODE_PARAMS){.func = c->cuda->steps[i].function,
                                     .grid = {g->grid[0], g->grid[1], g->grid[2]},
                                     .block = {g->block[0], g->block[1], g->block[2]},
                                     .shared_bytes = g->shared_bytes,
                                     .params = call};
}

static CUDA_MEMCPY3D copy_of(int to_device, void *host, CUdeviceptr device, uint64_t size) {
    const CUDA_MEMCPY3D_END here = {.memory_type = CU_MEMORYTYPE_HOST, .host = host, .pitch = size, .height = 1};
    const CUDA_MEMCPY3D_END there = {.memory_type = CU_MEMORYTYPE_DEVICE, .device = device, .pitch = size, .height = 1};
    return (CUDA_MEMCPY3D){
        .from = to_device ? here : there, .to = to_device ? there : here, .width_bytes = size, .height = 1, .depth = 1};
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

typedef struct builder {
    ingot_context *context;
    CUgraphNode *after; /* what the next node waits for */
    uint32_t count;
    int overlap;           /* kernels may start before those end that they wait for */
    uint32_t *stamp;       /* of each step and each io: the node that waits for it already */
    uint32_t *head, *next; /* edges by the step they lead to */
    uint8_t *has_next;     /* steps that another one waits for */
    uint32_t *io_of_arg;   /* 1 + the io that an operand views, or 0 */
} builder;

static void wait_for(builder *b, uint32_t stamp_of, uint32_t stamp, CUgraphNode node) {
    if (!node || b->stamp[stamp_of] == stamp) return; /* an edge may stand but once in a graph */
    b->stamp[stamp_of] = stamp;
    b->after[b->count++] = node;
}

static void wait_for_step(builder *b, uint32_t step, uint32_t stamp) {
    b->has_next[step] = 1;
    wait_for(b, step, stamp, b->context->cuda->steps[step].node);
}

static void bucket_edges(builder *b) {
    const ingot_context *c = b->context;
    const ingot_program *p = c->program->record;
    memset(b->head, 0xff, c->step_count * sizeof *b->head);
    for (uint32_t i = 0; i < p->edges.count; i++) {
        const ingot_edge *e =
            (const ingot_edge *)ingot_record(&c->engine->file.tables[INGOT_SECTION_EDGES], p->edges.first + i);
        b->next[i] = b->head[e->to];
        b->head[e->to] = i;
    }
    for (uint32_t i = 0; i < p->io.count; i++)
        for (uint32_t k = c->io_uses_first[i]; k < c->io_uses_first[i + 1]; k++)
            b->io_of_arg[c->io_uses[k].arg] = i + 1;
}

/* Copies of inputs wait for nobody, those of outputs for all who touch the output. */
static ingot_status add_copies(builder *b, int outputs, ingot_error *error) {
    ingot_context *c = b->context;
    ingot_cuda *cuda = c->cuda;
    ingot_status status = INGOT_OK;
    const ingot_program *p = c->program->record;
    for (uint32_t i = 0; i < p->io.count; i++) {
        ingot_cuda_io *io = &cuda->io[i];
        if ((int)ingot_get_io(&c->engine->file, p, i)->is_output != outputs || cuda->integrated || !c->io_bytes[i])
            continue;
        b->count = 0;
        for (uint32_t s = 0, arg = 0, k = c->io_uses_first[i]; outputs && k < c->io_uses_first[i + 1]; s++) {
            arg += c->steps[s].call.in_count + c->steps[s].call.out_count; /* the first operand of the next step */
            for (; k < c->io_uses_first[i + 1] && c->io_uses[k].arg < arg; k++)
                wait_for_step(b, s, c->step_count + 1 + i);
        }
        const CUDA_MEMCPY3D copy = copy_of(!outputs, io->host, io->view, c->io_bytes[i]);
        if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphAddMemcpyNode, &io->copy, cuda->graph, b->after, b->count,
                            &copy, cuda->primary))
            return status;
    }
    return status;
}

/* A step that waits for one kernel and nothing else may start while that one runs, since it waits for its end before it
 * touches anything of others (cuda_device.h). Whoever comes before has ended then too: the kernel waited for has waited
 * itself, or stands behind plain edges. */
static ingot_status add_steps(builder *b, ingot_error *error) {
    ingot_context *c = b->context;
    ingot_cuda *cuda = c->cuda;
    ingot_status status = INGOT_OK;
    const ingot_program *p = c->program->record;
    const int serial = (p->flags & INGOT_PROGRAM_SERIAL) != 0;
    const ingot_table *edges = &c->engine->file.tables[INGOT_SECTION_EDGES];
    const CUgraphEdgeData early = {.from_port = CU_PORT_PROGRAMMATIC, .type = CU_DEPENDENCY_PROGRAMMATIC};
    for (uint32_t i = 0, arg = 0; i < c->step_count; i++) {
        const ingot_call *call = &c->steps[i].call;
        const uint32_t stamp = i + 1;
        b->count = 0;
        if (serial && i) wait_for_step(b, i - 1, stamp);
        for (uint32_t e = serial ? UINT32_MAX : b->head[i]; e != UINT32_MAX; e = b->next[e])
            wait_for_step(b, ((const ingot_edge *)ingot_record(edges, p->edges.first + e))->from, stamp);
        const uint32_t kernels = b->count;
        for (uint32_t k = 0; k < call->in_count; k++) {
            const uint32_t io = b->io_of_arg[arg + k];
            if (!io || ingot_get_io(&c->engine->file, p, io - 1)->is_output) continue;
            /* In a serial program whoever comes later waits through the first. */
            if (serial && b->stamp[c->step_count + io - 1]) continue;
            wait_for(b, c->step_count + io - 1, stamp, cuda->io[io - 1].copy);
        }
        const int overlaps = b->overlap && kernels == 1 && b->count == 1;
        void *block;
        const CUDA_KERNEL_NODE_PARAMS kernel = kernel_of(c, i, &block);
        CUgraphNode *node = &cuda->steps[i].node;
        if (!INGOT_CUDA_TRY(status, cuda, step_name(c, i), error, cuGraphAddKernelNode, node, cuda->graph, b->after,
                            overlaps ? 0 : b->count, &kernel))
            return status;
        if (overlaps && !INGOT_CUDA_TRY(status, cuda, step_name(c, i), error, cuGraphAddDependencies, cuda->graph,
                                        b->after, node, &early, 1))
            return status;
        arg += call->in_count + call->out_count;
    }
    return status;
}

/* Writes the word that INGOT_WAIT_POLL looks at, behind all else. */
static ingot_status add_end(builder *b, ingot_error *error) {
    ingot_context *c = b->context;
    ingot_cuda *cuda = c->cuda;
    ingot_status status = INGOT_OK;
    b->count = 0;
    for (uint32_t i = 0; i < c->step_count; i++)
        if (!b->has_next[i]) b->after[b->count++] = cuda->steps[i].node;
    for (uint32_t i = 0; i < c->program->record->io.count; i++)
        if (cuda->io[i].copy) b->after[b->count++] = cuda->io[i].copy;
    CUgraphNode node;
    const CUDA_MEMCPY3D copy =
        copy_of(0, cuda->pinned + offsetof(ingot_cuda_words, done), cuda->one, sizeof cuda->words->done);
    INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphAddMemcpyNode, &node, cuda->graph, b->after, b->count, &copy,
                   cuda->primary);
    return status;
}

ingot_status ingot_cuda_build(ingot_context *c, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    const size_t steps = c->step_count, ios = c->program->record->io.count, edges = c->program->record->edges.count;
    builder b = {.context = c,
                 .overlap = cuda->overlap && (c->program->record->flags & INGOT_PROGRAM_OVERLAPS) &&
                            cuda->driver->cuGraphAddDependencies};
    ingot_status status = INGOT_OK;
    b.after = malloc((steps + ios + 1) * sizeof *b.after);
    b.stamp = calloc(steps + ios + 1, sizeof *b.stamp);
    b.head = malloc((steps + 1) * sizeof *b.head);
    b.next = malloc((edges + 1) * sizeof *b.next);
    b.has_next = calloc(steps + 1, 1);
    b.io_of_arg = calloc((size_t)c->program->operand_count + 1, sizeof *b.io_of_arg);
    if (!b.after || !b.stamp || !b.head || !b.next || !b.has_next || !b.io_of_arg) {
        status = ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory to make a graph of the program");
    } else if (INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphCreate, &cuda->graph, 0)) {
        bucket_edges(&b);
        status = add_copies(&b, 0, error);
        if (!status) status = add_steps(&b, error);
        if (!status) status = add_copies(&b, 1, error);
        if (!status && cuda->wait == INGOT_WAIT_POLL && !cuda->writes) status = add_end(&b, error);
        if (!status)
            INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphInstantiateWithFlags, &cuda->executable, cuda->graph, 0);
        if (!status) INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphUpload, cuda->executable, cuda->stream);
    }
    free(b.after), free(b.stamp), free(b.head), free(b.next), free(b.has_next), free(b.io_of_arg);
    return status;
}

/* ---- binding ----------------------------------------------------------------------------------------------------- */

/* What the driver knows of the caller's memory. */
static ingot_status find_place(const ingot_context *c, const char *name, void *data, uint32_t *place, CUdeviceptr *view,
                               ingot_error *error) {
    const ingot_cuda *cuda = c->cuda;
    const CUdeviceptr address = (CUdeviceptr)(uintptr_t)data;
    unsigned type = 0;
    int ordinal = 0;
    ingot_status status = INGOT_OK;
    *place = INGOT_PLACE_STAGED;
    *view = 0;
    /* All at once: of memory of the host's that it never heard of, the driver says zeros. */
    static const int asked[] = {CU_POINTER_MEMORY_TYPE, CU_POINTER_DEVICE_POINTER, CU_POINTER_DEVICE_ORDINAL};
    void *answers[] = {&type, view, &ordinal};
    if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuPointerGetAttributes, 3, asked, answers, address)) return status;
    if ((type != CU_MEMORYTYPE_HOST && type != CU_MEMORYTYPE_DEVICE) || !*view) return status;
    *place = type == CU_MEMORYTYPE_HOST ? INGOT_PLACE_PINNED : INGOT_PLACE_DEVICE;
    if (type == CU_MEMORYTYPE_DEVICE && ordinal != c->engine->device)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET,
                          "bind: the buffer of %.80s lies on device %d, the engine runs on %d", name, ordinal,
                          c->engine->device);
    return status;
}

/* Tells every step that sees the io where it lies now. */
static ingot_status move_view(ingot_context *c, uint32_t index, CUdeviceptr view, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    ingot_status status = INGOT_OK;
    const uint32_t end = c->io_uses_first[index + 1];
    uint32_t k = c->io_uses_first[index];
    for (uint32_t s = 0, first = 0; k < end; s++) {
        const uint32_t behind = first + c->steps[s].call.in_count + c->steps[s].call.out_count;
        ingot_cuda_arg *args = (ingot_cuda_arg *)(void *)cuda->steps[s].call;
        int moved = 0;
        for (; k < end && c->io_uses[k].arg < behind; k++) {
            uint8_t *data = (uint8_t *)(uintptr_t)view + c->io_uses[k].offset;
            moved |= c->args[c->io_uses[k].arg].data != data;
            c->args[c->io_uses[k].arg].data = args[c->io_uses[k].arg - first].data = data;
        }
        first = behind;
        if (!moved) continue;
        status = ingot_cuda_map(c, s, cuda->steps[s].call, error);
        if (status) return status;
        void *block;
        const CUDA_KERNEL_NODE_PARAMS kernel = kernel_of(c, s, &block);
        if (!INGOT_CUDA_TRY(status, cuda, step_name(c, s), error, cuGraphExecKernelNodeSetParams, cuda->executable,
                            cuda->steps[s].node, &kernel))
            return status;
    }
    return status;
}

/* Nodes stay for good: that of a buffer which is used directly is switched off, by older drivers told to copy one byte
 * that nobody reads. */
static ingot_status set_copy(ingot_context *c, uint32_t index, void *host, int direct, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    const ingot_cuda_io *io = &cuda->io[index];
    const int to_device = !ingot_get_io(&c->engine->file, c->program->record, index)->is_output;
    const CUDA_MEMCPY3D copy = copy_of(to_device, host, io->view, direct ? 1 : c->io_bytes[index]);
    ingot_status status = INGOT_OK;
    if (INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphExecMemcpyNodeSetParams, cuda->executable, io->copy, &copy,
                       cuda->primary) &&
        cuda->driver->cuGraphNodeSetEnabled)
        INGOT_CUDA_TRY(status, cuda, NULL, error, cuGraphNodeSetEnabled, cuda->executable, io->copy, !direct);
    return status;
}

ingot_status ingot_cuda_bind(ingot_context *c, uint32_t index, void *data, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    ingot_cuda_io *io = &cuda->io[index];
    const ingot_io *record = ingot_get_io(&c->engine->file, c->program->record, index);
    ingot_status status = ingot_cuda_enter(cuda, error);
    if (status) return status;
    uint32_t place = INGOT_PLACE_OWN;
    CUdeviceptr view = 0;
    if (data) status = find_place(c, ingot_file_string(&c->engine->file, record->name), data, &place, &view, error);
    const int direct = place == INGOT_PLACE_DEVICE || (place == INGOT_PLACE_PINNED && cuda->integrated);
    if (!status && direct) status = ingot_cuda_check_maps(c, index, view, error);
    if (status) {
        ingot_cuda_leave(cuda);
        return status;
    }
    if (io->copy) status = set_copy(c, index, place == INGOT_PLACE_PINNED ? data : io->host, direct, error);
    if (!status) status = move_view(c, index, direct ? view : io->view, error);
    if (status) {
        cuda->failed = -1; /* half of the graph may have changed */
        cuda->failed_in = "bind";
    }
    io->place = place;
    c->io_data[index] = data ? data : io->host;
    ingot_cuda_leave(cuda);
    return status;
}
