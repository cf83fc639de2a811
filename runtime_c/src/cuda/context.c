/* Making a context of a CUDA program, and its end. One walk computes how each block is laid out, the same walk hands
 * the pieces out. */
#include <string.h>

#include "cuda.h"
#include "cuda_call.h"
#include "device.h"

enum { PINNED_ALIGN = 4096, DEVICE_ALIGN = 256, WORDS = 256 };

/* The constants of a program: the bytes of the section from its first to behind its last. */
typedef struct hull {
    uint64_t begin, size;
} hull;

static hull constants_of(const ingot_file *f, const ingot_program *p) {
    uint64_t begin = UINT64_MAX, end = 0;
    for (uint32_t i = 0; i < p->buffers.count; i++) {
        const ingot_buffer *b = ingot_get_buffer(f, p, i);
        if (b->storage != INGOT_STORAGE_CONSTANT) continue;
        if (b->offset < begin) begin = b->offset;
        if (b->offset + b->size + INGOT_TAIL_BYTES > end) end = b->offset + b->size + INGOT_TAIL_BYTES;
    }
    if (begin > end) return (hull){0, 0};
    begin -= begin % DEVICE_ALIGN;
    return (hull){begin, end - begin};
}

static uint64_t counters_size(const ingot_file *f, const ingot_program *p) {
    uint64_t size = 0;
    for (uint32_t i = 0; i < p->steps.count; i++)
        size += sizeof(uint32_t) * ingot_get_launch(f, ingot_get_step(f, p, i))->counters;
    return size;
}

/* Where things lie on the device. */
typedef struct device_layout {
    uint64_t constants, arena, state, generated, one, counters, size;
} device_layout;

/* Also writes where the copies of inputs and outputs lie, relative to the block, to io[].view unless that is NULL. */
static device_layout lay_out_device(const ingot_engine *engine, const ingot_program *p, int integrated,
                                    ingot_cuda_io *io) {
    const ingot_file *f = &engine->file;
    device_layout d = {0};
    ingot_layout l = {0};
    const hull constants = constants_of(f, p);
    const struct {
        uint64_t *at, size;
    } pieces[] = {{&d.constants, constants.size},    {&d.arena, p->arena_size},  {&d.state, p->state_size},
                  {&d.generated, p->generated_size}, {&d.one, sizeof(uint32_t)}, {&d.counters, counters_size(f, p)}};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        *pieces[i].at = ingot_align(l.used, DEVICE_ALIGN);
        ingot_take(&l, pieces[i].size, 1, DEVICE_ALIGN);
    }
    for (uint32_t i = 0; i < p->io.count && !integrated; i++) {
        const ingot_tensor *t = ingot_get_tensor(f, p, ingot_get_io(f, p, i)->tensor);
        if (io) io[i].view = ingot_align(l.used, DEVICE_ALIGN);
        ingot_take(&l, ingot_get_buffer(f, p, t->buffer)->size + INGOT_TAIL_BYTES, 1, DEVICE_ALIGN);
    }
    d.size = ingot_align(l.used, DEVICE_ALIGN);
    return d;
}

static uint64_t lay_out_pinned(const ingot_engine *engine, const ingot_program *p, uint8_t *base, ingot_cuda_io *io) {
    const ingot_file *f = &engine->file;
    ingot_layout l = {.base = base};
    ingot_take(&l, WORDS, 1, DEVICE_ALIGN);
    for (uint32_t i = 0; i < p->io.count; i++) {
        const ingot_tensor *t = ingot_get_tensor(f, p, ingot_get_io(f, p, i)->tensor);
        uint8_t *own = ingot_take(&l, ingot_get_buffer(f, p, t->buffer)->size + INGOT_TAIL_BYTES, 1, DEVICE_ALIGN);
        if (io) io[i].host = own;
    }
    return ingot_align(l.used, PINNED_ALIGN);
}

static uint64_t calls_size(const ingot_bound_program *program) {
    uint64_t size = 0;
    for (uint32_t i = 0; i < program->record->steps.count; i++) {
        const ingot_step *s = program->steps[i].record;
        size += ingot_cuda_block_size((uint32_t)s->in_count + s->out_count, program->steps[i].kernel->family);
    }
    return size;
}

static ingot_context *lay_out_host(ingot_layout *l, const ingot_engine *engine, const ingot_bound_program *program,
                                   ingot_context *c, ingot_cuda *cuda, ingot_cuda **cuda_place, uint8_t **calls) {
    const ingot_program *p = program->record;
    ingot_context *place = ingot_context_lay_out(l, engine, program, c);
    *cuda_place = ingot_take(l, 1, sizeof *cuda, 64);
    cuda->modules = ingot_take(l, engine->file.tables[INGOT_SECTION_MODULE_INDEX].count, sizeof *cuda->modules, 8);
    cuda->functions = ingot_take(l, engine->file.tables[INGOT_SECTION_LAUNCHES].count, sizeof *cuda->functions, 8);
    cuda->steps = ingot_take(l, p->steps.count, sizeof *cuda->steps, 8);
    cuda->io = ingot_take(l, p->io.count, sizeof *cuda->io, 8);
    *calls = ingot_take(l, calls_size(program), 1, 64);
    cuda->first_state = ingot_take(l, p->state_size + p->generated_size, 1, 64);
    l->used = ingot_align(l->used, INGOT_CONTEXT_ALIGN);
    return place;
}

static ingot_status is_integrated(const ingot_driver *driver, int ordinal, CUdevice *device, uint32_t *integrated,
                                  ingot_error *error) {
    int value = 0;
    CUresult result = driver->cuDeviceGet(device, ordinal);
    if (result) return ingot_driver_fail(driver, result, "cuDeviceGet", NULL, error);
    result = driver->cuDeviceGetAttribute(&value, CU_ATTRIBUTE_INTEGRATED, *device);
    if (result) return ingot_driver_fail(driver, result, "cuDeviceGetAttribute", NULL, error);
    *integrated = value != 0;
    return INGOT_OK;
}

ingot_status ingot_cuda_need(const ingot_engine *engine, const ingot_bound_program *program, ingot_memory *need,
                             ingot_error *error) {
    const ingot_program *p = program->record;
    if (ingot_context_varies(&engine->file, p))
        return ingot_fail(error, INGOT_ERR_UNSUPPORTED, INGOT_NO_OFFSET,
                          "shapes that vary are not supported on CUDA: build the engine with one shape a profile");
    const ingot_driver *driver = ingot_driver_get(error);
    if (!driver) return INGOT_ERR_NO_VARIANT;
    CUdevice device;
    uint32_t integrated = 0;
    ingot_status status = is_integrated(driver, engine->device, &device, &integrated, error);
    if (status) return status;
    ingot_layout l = {0};
    ingot_context context = {0};
    ingot_cuda cuda = {0}, *place;
    uint8_t *calls;
    lay_out_host(&l, engine, program, &context, &cuda, &place, &calls);
    *need = (ingot_memory){.size = sizeof *need,
                           .host_size = l.used,
                           .pinned_size = lay_out_pinned(engine, p, NULL, NULL),
                           .device_size = lay_out_device(engine, p, integrated != 0, NULL).size};
    return INGOT_OK;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static ingot_status take_pinned(ingot_cuda *cuda, void *given, ingot_error *error) {
    const unsigned flags = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP;
    ingot_status status = INGOT_OK;
    if (!given) {
        void *made;
        if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemHostAlloc, &made, cuda->pinned_size, flags)) return status;
        cuda->pinned = made;
        cuda->pinned_allocated = 1;
    } else {
        unsigned type = 0;
        static const int asked[] = {CU_POINTER_MEMORY_TYPE};
        void *answers[] = {&type};
        const CUdeviceptr address = (CUdeviceptr)(uintptr_t)given;
        cuda->pinned = given;
        if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuPointerGetAttributes, 1, asked, answers, address))
            return status;
        if (type != CU_MEMORYTYPE_HOST) {
            if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemHostRegister, given, cuda->pinned_size, flags))
                return status;
            cuda->pinned_registered = 1;
        }
    }
    INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemHostGetDevicePointer, &cuda->pinned_view, cuda->pinned, 0);
    return status;
}

static ingot_status take_device(ingot_cuda *cuda, void *given, ingot_error *error) {
    ingot_status status = INGOT_OK;
    cuda->device_memory = (CUdeviceptr)(uintptr_t)given;
    if (given || INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemAlloc, &cuda->device_memory, cuda->device_size)) {
        cuda->device_allocated = !given;
        return INGOT_OK;
    }
    cuda->device_memory = 0;
    size_t left = 0, total = 0;
    if (status == INGOT_ERR_MEMORY && !cuda->driver->cuMemGetInfo(&left, &total))
        status = ingot_fail(error, status, INGOT_NO_OFFSET,
                            "no memory on the device: wanted %llu bytes, found %llu of %llu free",
                            (unsigned long long)cuda->device_size, (unsigned long long)left, (unsigned long long)total);
    return status;
}

/* Constants, zeros, first values of what is kept, and the word for INGOT_WAIT_POLL. */
static ingot_status fill_device(ingot_context *c, const device_layout *d, ingot_error *error) {
    static const uint32_t one = 1;
    ingot_cuda *cuda = c->cuda;
    const ingot_program *p = c->program->record;
    const hull constants = constants_of(&c->engine->file, p);
    const CUdeviceptr base = cuda->device_memory;
    ingot_context_fill_storage(c, cuda->first_state, cuda->first_state + p->state_size);
    const struct {
        uint64_t to, size;
        const void *from;
    } copies[] = {
        {d->constants, constants.size, c->engine->file.tables[INGOT_SECTION_CONSTANTS].base + constants.begin},
        {d->state, p->state_size, cuda->first_state},
        {d->generated, p->generated_size, cuda->first_state + p->state_size},
        {d->one, sizeof one, &one},
    };
    ingot_status status;
    if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemsetD8Async, base, 0, cuda->device_size, cuda->stream))
        return status;
    for (size_t i = 0; i < sizeof copies / sizeof copies[0]; i++)
        if (copies[i].size && !INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemcpyHtoDAsync, base + copies[i].to,
                                              copies[i].from, copies[i].size, cuda->stream))
            return status;
    return INGOT_OK;
}

/* The modules that steps use, and the entry point of each launch record. */
static ingot_status load_code(ingot_context *c, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    const ingot_file *f = &c->engine->file;
    ingot_status status = INGOT_OK;
    for (uint32_t i = 0; i < c->step_count; i++) {
        const ingot_step *s = c->program->steps[i].record;
        const ingot_launch *launch = ingot_get_launch(f, s);
        const char *name = ingot_file_string(f, s->name);
        CUmodule *module = &cuda->modules[launch->module];
        CUfunction *function = &cuda->functions[s->launch];
        if (!*module) {
            const ingot_module *m =
                (const ingot_module *)ingot_record(&f->tables[INGOT_SECTION_MODULE_INDEX], launch->module);
            const uint8_t *image = f->tables[INGOT_SECTION_MODULES].base + m->offset;
            if (!INGOT_CUDA_TRY(status, cuda, name, error, cuModuleLoadData, module, image)) return status;
        }
        if (!*function) {
            int shared = 0;
            const char *entry = ingot_file_string(f, launch->function);
            if (!INGOT_CUDA_TRY(status, cuda, name, error, cuModuleGetFunction, function, *module, entry) ||
                !INGOT_CUDA_TRY(status, cuda, name, error, cuFuncGetAttribute, &shared, CU_FUNC_MAX_DYNAMIC_SHARED,
                                *function))
                return status;
            /* Records of one function may differ: it must be able to have the most. */
            if ((uint32_t)shared < launch->shared_bytes &&
                !INGOT_CUDA_TRY(status, cuda, name, error, cuFuncSetAttribute, *function, CU_FUNC_MAX_DYNAMIC_SHARED,
                                (int)launch->shared_bytes))
                return status;
        }
        cuda->steps[i].function = *function;
    }
    return INGOT_OK;
}

/* What each kernel is launched with; operands in memory of the caller's may change later. */
static ingot_status fill_calls(ingot_context *c, uint8_t *call, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    uint32_t *counters = (uint32_t *)(uintptr_t)cuda->counters;
    for (uint32_t i = 0; i < c->step_count; i++) {
        const ingot_step *s = c->program->steps[i].record;
        const ingot_call *own = &c->steps[i].call;
        const uint32_t counter_count = ingot_get_launch(&c->engine->file, s)->counters;
        const uint32_t count = own->in_count + own->out_count;
        ingot_cuda_arg *args = (ingot_cuda_arg *)(void *)call;
        for (uint32_t k = 0; k < count; k++) {
            const ingot_arg *arg = &own->in[k]; /* outputs follow */
            args[k] = (ingot_cuda_arg){.data = arg->data, .pitch = arg->pitch, .rank = arg->rank, .dtype = arg->dtype};
            for (uint32_t d = 0; d < INGOT_MAX_RANK; d++) args[k].dims[d] = (int32_t)arg->dims[d];
        }
        *(ingot_cuda_tail *)(void *)(args + count) =
            (ingot_cuda_tail){.workspace = own->workspace,
                              .status = (uint32_t *)(uintptr_t)(cuda->pinned_view + offsetof(ingot_cuda_words, failed)),
                              .counters = counter_count ? counters : NULL,
                              .step = i + 1,
                              .counter_count = counter_count};
        counters += counter_count;
        memcpy(call + ingot_align(count * sizeof *args + sizeof(ingot_cuda_tail), 16), own->params, s->params_size);
        cuda->steps[i].call = call;
        call += ingot_cuda_block_size(count, c->program->steps[i].kernel->family);
        const ingot_status status = ingot_cuda_map(c, i, cuda->steps[i].call, error);
        if (status) return status;
    }
    return INGOT_OK;
}

/* Streams, events, code and memory; the primary context is current. */
static ingot_status fill_in(ingot_context *c, const ingot_memory *memory, uint8_t *calls, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    const ingot_engine *engine = c->engine;
    const ingot_program *p = c->program->record;
    ingot_status status = INGOT_OK;
    if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuStreamCreate, &cuda->stream, CU_STREAM_NON_BLOCKING) ||
        !INGOT_CUDA_TRY(status, cuda, NULL, error, cuEventCreate, &cuda->done,
                        CU_EVENT_DISABLE_TIMING | (cuda->wait == INGOT_WAIT_BLOCK ? CU_EVENT_BLOCKING_SYNC : 0)))
        return status;
    for (uint32_t i = 0; i < INGOT_CUDA_MARKS; i++)
        if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuEventCreate, &cuda->marks[i], CU_EVENT_DEFAULT)) return status;
    status = take_pinned(cuda, memory->pinned, error);
    if (!status) status = take_device(cuda, memory->device, error);
    if (status) return status;
    memset(cuda->pinned, 0, cuda->pinned_size);
    if (cuda->wait == INGOT_WAIT_POLL && cuda->driver->cuStreamWriteValue32) {
        const CUresult result = ingot_cuda_write_end(cuda, cuda->stream); /* not every device can */
        if (result && result != CUDA_ERROR_NOT_SUPPORTED)
            return ingot_driver_fail(cuda->driver, result, "cuStreamWriteValue32", NULL, error);
        cuda->writes = !result;
    }
    cuda->words = (volatile ingot_cuda_words *)(void *)cuda->pinned;
    lay_out_pinned(engine, p, cuda->pinned, cuda->io);
    const device_layout d = lay_out_device(engine, p, cuda->integrated != 0, cuda->io);
    uint8_t *base = (uint8_t *)(uintptr_t)cuda->device_memory;
    c->constants = (const uint8_t *)((uintptr_t)base + d.constants - constants_of(&engine->file, p).begin);
    c->arena = base + d.arena;
    c->state = base + d.state;
    c->generated = base + d.generated;
    cuda->one = cuda->device_memory + d.one;
    cuda->counters = cuda->device_memory + d.counters;
    ingot_context_fill_in(c, engine, c->program);
    for (uint32_t i = 0; i < p->io.count; i++) {
        ingot_cuda_io *io = &cuda->io[i];
        io->view = cuda->integrated ? cuda->pinned_view + (CUdeviceptr)(io->host - cuda->pinned)
                                    : cuda->device_memory + io->view;
        c->io_own[i] = c->io_data[i] = io->host;
        for (uint32_t k = c->io_uses_first[i]; k < c->io_uses_first[i + 1]; k++)
            c->args[c->io_uses[k].arg].data = (uint8_t *)(uintptr_t)io->view + c->io_uses[k].offset;
    }
    status = fill_calls(c, calls, error);
    if (!status) status = load_code(c, error);
    if (!status) status = fill_device(c, &d, error);
    if (!status) status = ingot_cuda_build(c, error);
    if (!status) INGOT_CUDA_TRY(status, cuda, NULL, error, cuStreamSynchronize, cuda->stream);
    return status;
}

ingot_status ingot_cuda_make(const ingot_engine *engine, const ingot_bound_program *program,
                             const ingot_context_options *options, const ingot_memory *memory, ingot_context **context,
                             ingot_error *error) {
    ingot_memory need = {.size = sizeof need};
    ingot_status status = ingot_cuda_need(engine, program, &need, error);
    if (status) return status;
    if ((memory->pinned && ((uintptr_t)memory->pinned % PINNED_ALIGN || memory->pinned_size < need.pinned_size)) ||
        (memory->device && ((uintptr_t)memory->device % DEVICE_ALIGN || memory->device_size < need.device_size)))
        return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET,
                          "the pinned block must be aligned to %d and have %llu bytes, that of the device to %d and "
                          "%llu",
                          PINNED_ALIGN, (unsigned long long)need.pinned_size, DEVICE_ALIGN,
                          (unsigned long long)need.device_size);
    ingot_layout l = {.base = memory->host};
    ingot_context pointers = {0};
    ingot_cuda cuda = {.driver = ingot_driver_get(NULL),
                       .wait = options->wait,
                       .overlap = !(options->flags & INGOT_CONTEXT_IN_TURN),
                       .pinned_size = need.pinned_size,
                       .device_size = need.device_size},
               *place;
    uint8_t *calls;
    ingot_context *c = lay_out_host(&l, engine, program, &pointers, &cuda, &place, &calls);
    *c = pointers;
    *place = cuda;
    c->cuda = place;
    c->engine = engine;
    c->program = program;
    c->step_count = c->program->record->steps.count;
    c->threads = 1;
    c->host_size = need.host_size;
    status = is_integrated(place->driver, engine->device, &place->device, &place->integrated, error);
    if (!status) INGOT_CUDA_TRY(status, place, NULL, error, cuDevicePrimaryCtxRetain, &place->primary, place->device);
    if (status) return status;
    status = ingot_cuda_enter(place, error);
    if (!status) {
        status = fill_in(c, memory, calls, error);
        ingot_cuda_leave(place);
    }
    if (status)
        ingot_cuda_end(c);
    else
        *context = c;
    return status;
}

/* ---- the end ------------------------------------------------------------------------------------------------------
 */

/* Whatever was made goes, whether the device still answers or not. Where the primary context itself is gone (somebody
 * has reset the device), so is all that was made in it, and its handles must not be used. */
void ingot_cuda_end(ingot_context *c) {
    ingot_cuda *cuda = c->cuda;
    const ingot_driver *driver = cuda->driver;
    if (ingot_cuda_enter(cuda, NULL) == INGOT_OK) {
        if (cuda->pending && cuda->recorded) driver->cuEventSynchronize(cuda->done);
        if (cuda->stream) driver->cuStreamSynchronize(cuda->stream);
        if (cuda->executable) driver->cuGraphExecDestroy(cuda->executable);
        if (cuda->graph) driver->cuGraphDestroy(cuda->graph);
        for (uint32_t i = 0; i < c->engine->file.tables[INGOT_SECTION_MODULE_INDEX].count; i++)
            if (cuda->modules[i]) driver->cuModuleUnload(cuda->modules[i]);
        for (uint32_t i = 0; i < INGOT_CUDA_MARKS; i++)
            if (cuda->marks[i]) driver->cuEventDestroy(cuda->marks[i]);
        if (cuda->done) driver->cuEventDestroy(cuda->done);
        if (cuda->stream) driver->cuStreamDestroy(cuda->stream);
        if (cuda->device_allocated) driver->cuMemFree(cuda->device_memory);
        if (cuda->pinned_registered) driver->cuMemHostUnregister(cuda->pinned);
        if (cuda->pinned_allocated) driver->cuMemFreeHost(cuda->pinned);
        ingot_cuda_leave(cuda);
    }
    driver->cuDevicePrimaryCtxRelease(cuda->device);
}

void ingot_cuda_sizes(const ingot_context *c, uint64_t *device_bytes, uint64_t *pinned_bytes) {
    *device_bytes = c->cuda->device_size;
    *pinned_bytes = c->cuda->pinned_size;
}
