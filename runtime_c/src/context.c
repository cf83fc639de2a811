/* Making a context: one walk computes how the host block is laid out, the same walk hands the pieces out. */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "cuda/cuda.h"
#include "fpenv.h"

enum { HOST_ALIGN = INGOT_CONTEXT_ALIGN, MAX_THREADS = 64 };

static ingot_status check_options(const ingot_engine *engine, const ingot_context_options *options,
                                  ingot_context_options *filled, ingot_error *error) {
    *filled = (ingot_context_options){.size = sizeof *filled, .threads = 1};
    if (options) {
        if (options->size != sizeof *options)
            return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "ingot_context_options: wrong size");
        *filled = *options;
        if (filled->threads == 0) filled->threads = 1;
    }
    if (!engine) return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "engine is NULL");
    const uint32_t last_wait = engine->variant->backend == INGOT_BACKEND_CUDA ? INGOT_WAIT_POLL : INGOT_WAIT_SPIN;
    if (filled->threads > MAX_THREADS || filled->wait > last_wait || filled->priority > 99)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET,
                          "threads must be 1..%d, wait 0..%u, priority 0..99", MAX_THREADS, last_wait);
    if (filled->flags & ~(uint32_t)INGOT_CONTEXT_IN_TURN)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "ingot_context_options: unknown flags");
    if (filled->cpus && filled->cpu_count != filled->threads - 1)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "cpus needs an entry for each of the %u workers",
                          filled->threads - 1);
    return INGOT_OK;
}

/* What every step needs beside its operands, at the largest shapes. */
typedef struct needs {
    uint64_t scratch;
    uint64_t kernel_state;
    uint64_t params;
} needs;

static needs measure(const ingot_engine *engine, const ingot_bound_program *program, uint64_t *kernel_state_size) {
    needs n = {0};
    ingot_arg args[INGOT_MAX_OPERANDS];
    for (uint32_t i = 0; i < program->record->steps.count; i++) {
        ingot_call call;
        const ingot_family *family = program->steps[i].kernel->family;
        ingot_fill_call(&engine->file, program->record, &program->steps[i], args, &call);
        uint64_t scratch = family->scratch_size ? family->scratch_size(&call) : 0;
        uint64_t state = family->state_size ? family->state_size(&call) : 0;
        if (scratch > n.scratch) n.scratch = scratch;
        if (kernel_state_size) kernel_state_size[i] = state;
        n.kernel_state += ingot_align(state, 64);
        n.params += ingot_align(family->params_size, 16);
    }
    return n;
}

int ingot_context_varies(const ingot_file *f, const ingot_program *p) {
    int varies = p->shape_code.count || p->patches.count;
    for (uint32_t i = 0; i < p->io.count; i++) {
        const ingot_io *io = ingot_get_io(f, p, i);
        varies |= !io->is_output && memcmp(io->dims_min, io->dims_max, sizeof io->dims_min) != 0;
    }
    return varies;
}

ingot_context *ingot_context_lay_out(ingot_layout *l, const ingot_engine *engine, const ingot_bound_program *program,
                                     ingot_context *c) {
    const ingot_program *p = program->record;
    uint32_t steps = p->steps.count, ios = p->io.count;
    ingot_context *place = ingot_take(l, 1, sizeof *c, 64);
    c->steps = ingot_take(l, steps, sizeof *c->steps, 64);
    c->args = ingot_take(l, program->operand_count, sizeof *c->args, 64);
    c->io_data = ingot_take(l, ios, sizeof *c->io_data, 8);
    c->io_own = ingot_take(l, ios, sizeof *c->io_own, 8);
    c->io_dims = ingot_take(l, (uint64_t)ios * INGOT_MAX_RANK, sizeof *c->io_dims, 8);
    c->io_bytes = ingot_take(l, ios, sizeof *c->io_bytes, 8);
    c->io_bound = ingot_take(l, ios, sizeof *c->io_bound, 8);
    c->io_uses_first = ingot_take(l, (uint64_t)ios + 1, sizeof *c->io_uses_first, 8);
    c->io_uses = ingot_take(l, program->operand_count, sizeof *c->io_uses, 8);
    return place;
}

/* The whole of a context on the CPU. `pool` is the number of threads of a pool that lies in it as well. */
static ingot_context *lay_out(ingot_layout *l, const ingot_engine *engine, const ingot_bound_program *program,
                              uint32_t threads, uint32_t pool, ingot_context *c, void **workers_memory) {
    const ingot_program *p = program->record;
    uint32_t steps = p->steps.count;
    int varies = ingot_context_varies(&engine->file, p);
    ingot_context *place = ingot_context_lay_out(l, engine, program, c);
    c->kernel_state_size = ingot_take(l, steps, sizeof *c->kernel_state_size, 8);
    needs n = measure(engine, program, c->kernel_state_size);
    c->tensors = varies ? ingot_take(l, p->tensors.count, sizeof *c->tensors, 64) : NULL;
    c->params = varies ? ingot_take(l, n.params, 1, 16) : NULL;
    c->registers = ingot_take(l, p->register_count, sizeof *c->registers, 8);
    c->kernel_state = ingot_take(l, n.kernel_state, 1, 64);
    c->scratch_stride = ingot_align(n.scratch, 128); /* two lines: neighbours prefetch in pairs */
    c->scratch = ingot_take_dirty(l, c->scratch_stride * threads + INGOT_TAIL_BYTES, 128);
    c->state = ingot_take(l, p->state_size, 1, 64);
    c->generated = ingot_take(l, p->generated_size, 1, INGOT_CONSTANT_ALIGN);
    for (uint32_t i = 0; i < p->io.count; i++) {
        const ingot_tensor *t = ingot_get_tensor(&engine->file, p, ingot_get_io(&engine->file, p, i)->tensor);
        void *own = ingot_take(l, ingot_get_buffer(&engine->file, p, t->buffer)->size + INGOT_TAIL_BYTES, 1, 64);
        if (l->base) c->io_own[i] = own;
    }
    c->arena = ingot_take_dirty(l, p->arena_size, 4096);
    *workers_memory = pool > 1 ? ingot_take_dirty(l, ingot_workers_memory(pool), 4096) : NULL;
    l->used = ingot_align(l->used, HOST_ALIGN);
    return place;
}

/* The bytes of all that. */
static uint64_t count(const ingot_engine *engine, const ingot_bound_program *program, uint32_t threads, uint32_t pool) {
    ingot_layout l = {0};
    ingot_context counted = {0};
    void *workers;
    lay_out(&l, engine, program, threads, pool, &counted, &workers);
    return l.used;
}

ingot_status ingot_context_memory(const ingot_engine *engine, const ingot_context_options *options, ingot_memory *need,
                                  ingot_error *error) {
    ingot_clear(error);
    ingot_context_options filled;
    ingot_status status = check_options(engine, options, &filled, error);
    if (status) return status;
    if (!need || need->size != sizeof *need)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "ingot_memory: NULL or wrong size");
    if (engine->programs[0].record->role != INGOT_ROLE_RUN)
        return ingot_fail(error, INGOT_ERR_UNSUPPORTED, INGOT_NO_OFFSET,
                          "this is a tuning pack: ingot-tune measures it, and there is nothing in it to run");
    if (engine->unfit.status) {
        if (error) *error = engine->unfit;
        return engine->unfit.status;
    }
    if (engine->variant->backend == INGOT_BACKEND_CUDA)
        return ingot_cuda_need(engine, &engine->programs[0], need, error);
    *need = (ingot_memory){.size = sizeof *need,
                           .host_size = count(engine, &engine->programs[0], filled.threads, filled.threads)};
    return INGOT_OK;
}

/* Which operands view which input or output: bind touches just those. */
static void index_io(ingot_context *c) {
    const ingot_file *f = &c->engine->file;
    const ingot_program *p = c->program->record;
    uint32_t used = 0;
    for (uint32_t i = 0; i < p->io.count; i++) {
        uint32_t buffer = ingot_get_tensor(f, p, ingot_get_io(f, p, i)->tensor)->buffer, arg = 0;
        c->io_uses_first[i] = used;
        for (uint32_t s = 0; s < c->step_count; s++) {
            const ingot_step *step = c->program->steps[s].record;
            for (uint32_t k = 0; k < (uint32_t)step->in_count + step->out_count; k++, arg++) {
                uint32_t id = ingot_get_operand(f, step, k);
                if (id != INGOT_NO_INDEX && ingot_get_tensor(f, p, id)->buffer == buffer)
                    c->io_uses[used++] = (ingot_io_use){.offset = ingot_get_tensor(f, p, id)->offset, .arg = arg};
            }
        }
    }
    c->io_uses_first[p->io.count] = used;
}

/* Calls, operands and their addresses, all but those of bound buffers. */
static void resolve_steps(ingot_context *c) {
    const ingot_file *f = &c->engine->file;
    const ingot_program *p = c->program->record;
    ingot_arg *args = c->args;
    uint8_t *params = c->params;
    for (uint32_t i = 0; i < c->step_count; i++) {
        const ingot_bound_step *bound = &c->program->steps[i];
        const ingot_step *s = bound->record;
        ingot_context_step *step = &c->steps[i];
        step->run = bound->run;
        ingot_fill_call(f, p, bound, args, &step->call);
        for (uint32_t k = 0; k < (uint32_t)s->in_count + s->out_count; k++) {
            uint32_t id = ingot_get_operand(f, s, k);
            if (id == INGOT_NO_INDEX) continue;
            const ingot_tensor *t = ingot_get_tensor(f, p, id);
            const ingot_buffer *b = ingot_get_buffer(f, p, t->buffer);
            if (b->storage == INGOT_STORAGE_CONSTANT)
                args[k].data = (void *)(uintptr_t)(c->constants + b->offset + t->offset);
            if (b->storage == INGOT_STORAGE_ARENA) args[k].data = c->arena + b->offset + t->offset;
            if (b->storage == INGOT_STORAGE_STATE) args[k].data = c->state + b->offset + t->offset;
            if (b->storage == INGOT_STORAGE_GENERATED) args[k].data = c->generated + b->offset + t->offset;
        }
        if (s->workspace != INGOT_NO_INDEX)
            step->call.workspace =
                c->arena + ingot_get_buffer(f, p, ingot_get_tensor(f, p, s->workspace)->buffer)->offset;
        if (params) {
            memcpy(params, bound->params, s->params_size);
            step->call.params = params;
            params += ingot_align(s->params_size, 16);
        }
        args += s->in_count + s->out_count;
    }
}

void ingot_context_fill_storage(const ingot_context *c, uint8_t *state, uint8_t *generated) {
    const ingot_file *f = &c->engine->file;
    const ingot_table *programs = &f->tables[INGOT_SECTION_PROGRAMS], *fills = &f->tables[INGOT_SECTION_FILLS];
    const ingot_program *p = c->program->record;
    ingot_fpenv mode = ingot_fpenv_enter(); /* values must not depend on the caller's rounding */
    memset(state, 0, p->state_size);
    for (uint32_t i = 0; i < fills->count; i++) {
        const ingot_fill *fill = (const ingot_fill *)ingot_record(fills, i);
        if (ingot_record(programs, fill->program) != (const void *)p) continue;
        const ingot_tensor *t = ingot_get_tensor(f, p, fill->tensor);
        uint64_t bytes = ingot_view_bytes(t->dtype, t->rank, t->dims, t->pitch);
        const ingot_buffer *b = ingot_get_buffer(f, p, t->buffer);
        if (b->storage != INGOT_STORAGE_STATE && !generated) continue;
        uint8_t *data = (b->storage == INGOT_STORAGE_STATE ? state : generated) + b->offset + t->offset;
        if (fill->kind == INGOT_FILL_BYTES)
            memset(data, (int)(fill->value & 0xff), bytes);
        else if (fill->kind == INGOT_FILL_UNIFORM)
            ingot_fill_random(data, t->dtype, bytes, fill->seed);
        else
            ingot_fill_moderate(data, t->dtype, bytes, fill->seed);
    }
    ingot_fpenv_leave(mode);
}

/* The context's own buffers have room for the largest shape: `size` 0 stands for them. */
static void point_io(ingot_context *c, uint32_t index, void *data, uint64_t size) {
    c->io_data[index] = data;
    c->io_bound[index] = size;
    for (uint32_t i = c->io_uses_first[index]; i < c->io_uses_first[index + 1]; i++)
        c->args[c->io_uses[i].arg].data = (uint8_t *)data + c->io_uses[i].offset;
}

void ingot_context_find_stale(ingot_context *c) {
    c->stale = 0;
    for (uint32_t i = 0; i < c->program->record->io.count && !c->stale; i++)
        if (c->io_data[i] != c->io_own[i] && c->io_bound[i] != c->io_bytes[i]) c->stale = i + 1;
}

ingot_status ingot_context_not_ready(const ingot_context *c, ingot_error *error) {
    if (c->shape_pending)
        return ingot_fail(error, INGOT_ERR_SHAPE, INGOT_NO_OFFSET, "the shapes set for the inputs do not go together");
    if (c->stale) {
        const ingot_io *io = ingot_get_io(&c->engine->file, c->program->record, c->stale - 1);
        return ingot_fail(error, INGOT_ERR_SHAPE, INGOT_NO_OFFSET,
                          "the buffer bound to %.80s has %llu bytes, its new shape "
                          "%llu: bind another",
                          ingot_file_string(&c->engine->file, io->name), (unsigned long long)c->io_bound[c->stale - 1],
                          (unsigned long long)c->io_bytes[c->stale - 1]);
    }
    return INGOT_OK;
}

void ingot_context_fill_in(ingot_context *c, const ingot_engine *engine, const ingot_bound_program *program) {
    const ingot_program *p = program->record;
    c->engine = engine;
    c->program = program;
    c->step_count = p->steps.count;
    for (uint32_t i = 0; i < p->io.count; i++) {
        const ingot_io *io = ingot_get_io(&engine->file, p, i);
        memcpy(c->io_dims + (size_t)i * INGOT_MAX_RANK, io->dims_max, sizeof io->dims_max);
        c->io_bytes[i] =
            ingot_get_buffer(&engine->file, p, ingot_get_tensor(&engine->file, p, io->tensor)->buffer)->size;
    }
    resolve_steps(c);
    index_io(c);
}

/* A context without threads of its own yet. */
static ingot_status fill_in(const ingot_engine *engine, const ingot_bound_program *program, uint32_t threads,
                            uint32_t pool, void *memory, uint64_t size, ingot_context **context, void **workers_memory,
                            ingot_error *error) {
    const ingot_program *p = program->record;
    ingot_layout l = {.base = memory};
    ingot_context pointers = {0};
    ingot_context *c = lay_out(&l, engine, program, threads, pool, &pointers, workers_memory);
    *c = pointers;
    c->threads = threads;
    c->host_size = size;
    c->constants = engine->file.tables[INGOT_SECTION_CONSTANTS].base;
    for (uint32_t i = 0; c->tensors && i < p->tensors.count; i++)
        c->tensors[i] = *ingot_get_tensor(&engine->file, p, i);
    ingot_context_fill_in(c, engine, program);
    for (uint32_t i = 0; i < p->io.count; i++) point_io(c, i, c->io_own[i], 0);
    ingot_context_fill_storage(c, c->state, c->generated);
    ingot_fpenv mode = ingot_fpenv_enter(); /* what kernels prepare must not depend on the caller's rounding either */
    ingot_status status = ingot_context_apply_shapes(c, error);
    ingot_fpenv_leave(mode);
    *context = c;
    return status;
}

uint64_t ingot_context_need(const ingot_engine *engine, const ingot_bound_program *program, uint32_t threads) {
    return count(engine, program, threads, 0);
}

ingot_status ingot_context_place(const ingot_engine *engine, const ingot_bound_program *program, uint32_t threads,
                                 ingot_workers *workers, void *memory, ingot_context **context, ingot_error *error) {
    void *none;
    uint64_t size = count(engine, program, threads, 0);
    ingot_status status = fill_in(engine, program, threads, 0, memory, size, context, &none, error);
    (*context)->workers = workers;
    return status;
}

ingot_status ingot_context_init(const ingot_engine *engine, const ingot_context_options *options,
                                const ingot_memory *memory, ingot_context **context, ingot_error *error) {
    ingot_memory need = {.size = sizeof need};
    ingot_status status = ingot_context_memory(engine, options, &need, error);
    if (status) return status;
    if (!memory || memory->size != sizeof *memory || !context)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET,
                          "memory or context is NULL, or ingot_memory has the "
                          "wrong size");
    *context = NULL;
    if (!memory->host || (uintptr_t)memory->host % HOST_ALIGN || memory->host_size < need.host_size)
        return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET,
                          "the host block must be aligned to %d and have %llu bytes", HOST_ALIGN,
                          (unsigned long long)need.host_size);
    ingot_context_options filled;
    check_options(engine, options, &filled, NULL);
    if (engine->variant->backend == INGOT_BACKEND_CUDA)
        return ingot_cuda_make(engine, &engine->programs[0], &filled, memory, context, error);
    ingot_context *c;
    void *workers_memory;
    status = fill_in(engine, &engine->programs[0], filled.threads, filled.threads, memory->host, need.host_size, &c,
                     &workers_memory, error);
    if (!status && filled.threads > 1) status = ingot_context_start_workers(c, workers_memory, &filled, error);
    if (!status) *context = c;
    return status;
}

ingot_status ingot_context_create(const ingot_engine *engine, const ingot_context_options *options,
                                  ingot_context **context, ingot_error *error) {
    ingot_memory memory = {.size = sizeof memory};
    if (context) *context = NULL;
    ingot_status status = ingot_context_memory(engine, options, &memory, error);
    if (status) return status;
    memory.host = ingot_map_allocate(HOST_ALIGN, memory.host_size);
    if (!memory.host)
        return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory for a context of %llu bytes",
                          (unsigned long long)memory.host_size);
    status = ingot_context_init(engine, options, &memory, context, error);
    if (status)
        free(memory.host);
    else
        (*context)->allocation = memory.host;
    return status;
}

void ingot_context_destroy(ingot_context *context) {
    if (!context) return;
    if (context->cuda) ingot_cuda_end(context);
    if (context->workers) ingot_workers_stop(context->workers);
    free(context->allocation);
}

void *ingot_context_data(const ingot_context *context, uint32_t index) {
    return context && index < context->program->record->io.count ? context->io_data[index] : NULL;
}

ingot_status ingot_context_bind(ingot_context *c, uint32_t index, void *data, size_t size, ingot_error *error) {
    if (!c || index >= c->program->record->io.count)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "bind: no input or output %u", index);
    if (!data && c->cuda) return ingot_cuda_bind(c, index, NULL, error);
    if (!data) {
        point_io(c, index, c->io_own[index], 0);
        ingot_context_find_stale(c);
        return INGOT_OK;
    }
    const ingot_program *p = c->program->record;
    const ingot_io *io = ingot_get_io(&c->engine->file, p, index);
    uint32_t bits = ingot_dtype_bits(ingot_get_tensor(&c->engine->file, p, io->tensor)->dtype);
    if (size != c->io_bytes[index])
        return ingot_fail(error, INGOT_ERR_SHAPE, INGOT_NO_OFFSET, "bind: %.80s has %llu bytes, not %zu",
                          ingot_file_string(&c->engine->file, io->name), (unsigned long long)c->io_bytes[index], size);
    if (bits > 8 && (uintptr_t)data % (bits / 8))
        return ingot_fail(error, INGOT_ERR_ALIGNMENT, INGOT_NO_OFFSET,
                          "bind: the buffer of %.80s is not aligned to %u bytes",
                          ingot_file_string(&c->engine->file, io->name), bits / 8);
    if (c->cuda) return ingot_cuda_bind(c, index, data, error);
    point_io(c, index, data, size);
    ingot_context_find_stale(c);
    return INGOT_OK;
}

ingot_status ingot_context_reset(ingot_context *context) {
    if (!context) return INGOT_ERR_ARGUMENT;
    if (context->cuda) return ingot_cuda_reset(context, NULL);
    ingot_context_fill_storage(context, context->state, NULL);
    return INGOT_OK;
}

ingot_status ingot_context_stats(const ingot_context *context, ingot_stats *stats) {
    const uint32_t first = offsetof(ingot_stats, device_bytes); /* the size before there was CUDA */
    if (!context || !stats || (stats->size != sizeof *stats && stats->size != first)) return INGOT_ERR_ARGUMENT;
    ingot_stats found = {.size = stats->size,
                         .threads = context->threads,
                         .runs = context->runs,
                         .host_bytes = context->host_size,
                         .arena_bytes = context->program->record->arena_size};
    if (context->cuda) ingot_cuda_sizes(context, &found.device_bytes, &found.pinned_bytes);
    memcpy(stats, &found, stats->size);
    return INGOT_OK;
}
