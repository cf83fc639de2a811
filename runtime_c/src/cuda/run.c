/* A run: one launch of the graph, and waiting for its end. Nothing here allocates. */
#include <string.h>

#include "cuda.h"

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

enum {
    POLLS = 1 << 14, /* of a word in memory, before the driver is asked whether the device still lives */
    QUERIES = 200    /* of the driver before a thread sleeps: some 90 microseconds, where waking it costs 30 */
};

ingot_status ingot_cuda_enter(const ingot_cuda *cuda, ingot_error *error) {
    CUresult result = cuda->driver->cuCtxPushCurrent(cuda->primary);
    return result ? ingot_driver_fail(cuda->driver, result, "cuCtxPushCurrent", NULL, error) : INGOT_OK;
}

void ingot_cuda_leave(const ingot_cuda *cuda) {
    CUcontext popped;
    cuda->driver->cuCtxPopCurrent(&popped);
}

/* A call of a run failed. Errors of a kernel stay with the device's context, so nothing more is tried on it. */
static ingot_status broken(ingot_cuda *cuda, CUresult result, const char *what, const char *step, ingot_error *error) {
    cuda->failed = result;
    cuda->failed_in = what;
    cuda->pending = 0;
    return ingot_driver_fail(cuda->driver, result, what, step, error);
}

static ingot_status begin(const ingot_cuda *cuda, ingot_error *error) {
    const char *name = NULL;
    if (!cuda->failed) return ingot_cuda_enter(cuda, error);
    if (cuda->driver->cuGetErrorName(cuda->failed, &name) || !name) name = "an error";
    return ingot_fail(error, INGOT_ERR_DEVICE, INGOT_NO_OFFSET,
                      "the device was lost to this context (%.60s in %s): destroy it and make another", name,
                      cuda->failed_in);
}

/* Copies between buffers of the caller that the device cannot reach and the context's own. */
static void stage(ingot_context *c, uint32_t outputs) {
    const ingot_program *p = c->program->record;
    for (uint32_t i = 0; i < p->io.count; i++) {
        const ingot_cuda_io *io = &c->cuda->io[i];
        if (io->place != INGOT_PLACE_STAGED || ingot_get_io(&c->engine->file, p, i)->is_output != outputs) continue;
        memcpy(outputs ? c->io_data[i] : io->host, outputs ? io->host : c->io_data[i], c->io_bytes[i]);
    }
}

CUresult ingot_cuda_write_end(const ingot_cuda *cuda, CUstream stream) {
    const CUdeviceptr done = cuda->pinned_view + offsetof(ingot_cuda_words, done);
    return cuda->driver->cuStreamWriteValue32(stream, done, cuda->ticket, 0);
}

/* The primary context is current. */
static ingot_status start(ingot_context *c, CUstream stream, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    cuda->alone = !cuda->pending;
    if (++cuda->ticket == 0) cuda->ticket = 1; /* 0 is what the word holds until the end */
    cuda->words->done = 0;
    CUresult result = cuda->driver->cuGraphLaunch(cuda->executable, stream);
    if (result) return broken(cuda, result, "cuGraphLaunch", NULL, error);
    cuda->pending = 1;
    if (cuda->writes) result = ingot_cuda_write_end(cuda, stream);
    if (result) return broken(cuda, result, "cuStreamWriteValue32", NULL, error);
    cuda->recorded = cuda->wait == INGOT_WAIT_BLOCK || stream != cuda->stream;
    if (cuda->recorded) result = cuda->driver->cuEventRecord(cuda->done, stream);
    return result ? broken(cuda, result, "cuEventRecord", NULL, error) : INGOT_OK;
}

static CUresult query(const ingot_cuda *cuda) {
    return cuda->recorded ? cuda->driver->cuEventQuery(cuda->done) : cuda->driver->cuStreamQuery(cuda->stream);
}

/* Whether the word in memory says that the last run has ended. Of a node it may be that of an earlier run. */
static int says_done(const ingot_cuda *cuda) {
    const uint32_t done = __atomic_load_n(&cuda->words->done, __ATOMIC_ACQUIRE);
    return cuda->writes ? done == cuda->ticket : done && cuda->alone;
}

static ingot_status finish(ingot_context *c, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    CUresult result = CUDA_ERROR_NOT_READY;
    for (uint32_t polls = 1; result == CUDA_ERROR_NOT_READY; polls++) {
        if (cuda->wait == INGOT_WAIT_POLL && says_done(cuda)) break;
        if (cuda->wait == INGOT_WAIT_BLOCK && polls > QUERIES) {
            result = cuda->driver->cuEventSynchronize(cuda->done);
            if (result) return broken(cuda, result, "cuEventSynchronize", NULL, error);
        } else if (cuda->wait != INGOT_WAIT_POLL || polls % POLLS == 0) {
            result = query(cuda);
        }
        if (result == CUDA_ERROR_NOT_READY) relax();
    }
    if (result && result != CUDA_ERROR_NOT_READY)
        return broken(cuda, result, cuda->recorded ? "cuEventQuery" : "cuStreamQuery", NULL, error);
    cuda->pending = 0;
    c->runs++;
    const uint32_t failed = cuda->words->failed;
    cuda->words->failed = 0;
    if (!failed) return INGOT_OK;
    const char *name = failed <= c->step_count
                           ? ingot_file_string(&c->engine->file, c->program->steps[failed - 1].record->name)
                           : "unknown";
    return ingot_fail(error, INGOT_ERR_INDEX, INGOT_NO_OFFSET, "step %u (%.80s): an index in the data is out of range",
                      failed - 1, name);
}

ingot_status ingot_cuda_run(ingot_context *c, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    ingot_status status = begin(cuda, error);
    if (status) return status;
    stage(c, 0);
    status = start(c, cuda->stream, error);
    if (!status) status = finish(c, error);
    ingot_cuda_leave(cuda);
    if (!status) stage(c, 1);
    return status;
}

ingot_status ingot_cuda_enqueue(ingot_context *c, void *stream, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    for (uint32_t i = 0; i < c->program->record->io.count; i++)
        if (cuda->io[i].place == INGOT_PLACE_STAGED)
            return ingot_fail(
                error, INGOT_ERR_UNSUPPORTED, INGOT_NO_OFFSET,
                "enqueue: %.80s is bound to memory that is not pinned: bind pinned or device memory, or run",
                ingot_file_string(&c->engine->file, ingot_get_io(&c->engine->file, c->program->record, i)->name));
    ingot_status status = begin(cuda, error);
    if (status) return status;
    status = start(c, stream, error);
    ingot_cuda_leave(cuda);
    return status;
}

ingot_status ingot_cuda_wait(ingot_context *c, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    if (!cuda->failed && !cuda->pending) return INGOT_OK;
    ingot_status status = begin(cuda, error);
    if (status) return status;
    status = finish(c, error);
    ingot_cuda_leave(cuda);
    return status;
}

/* ---- one step after the other ------------------------------------------------------------------------------------ */

/* What a copy node of the graph would do. */
static ingot_status copy(ingot_context *c, uint32_t outputs, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    ingot_status status = INGOT_OK;
    for (uint32_t i = 0; i < c->program->record->io.count; i++) {
        const ingot_cuda_io *io = &cuda->io[i];
        const int is_output = ingot_get_io(&c->engine->file, c->program->record, i)->is_output != 0;
        if (!io->copy || io->place == INGOT_PLACE_DEVICE || is_output != (int)outputs) continue;
        void *host = io->place == INGOT_PLACE_PINNED ? c->io_data[i] : io->host;
        if (outputs)
            INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemcpyDtoHAsync, host, io->view, c->io_bytes[i], cuda->stream);
        else
            INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemcpyHtoDAsync, io->view, host, c->io_bytes[i], cuda->stream);
        if (status) return status;
    }
    return status;
}

static ingot_status launch(ingot_context *c, uint32_t i, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    const ingot_grid *g = c->steps[i].call.grid;
    void *call = cuda->steps[i].call;
    CUresult result =
        cuda->driver->cuLaunchKernel(cuda->steps[i].function, g->grid[0], g->grid[1], g->grid[2], g->block[0],
                                     g->block[1], g->block[2], g->shared_bytes, cuda->stream, &call, NULL);
    if (!result) return INGOT_OK;
    return broken(cuda, result, "cuLaunchKernel",
                  ingot_file_string(&c->engine->file, c->program->steps[i].record->name), error);
}

/* Steps are queued in groups with an event between each two, so that the device has the next at hand when one ends. */
static ingot_status time_steps(ingot_context *c, uint64_t *nanoseconds, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    const uint32_t group = INGOT_CUDA_MARKS - 1;
    ingot_status status = INGOT_OK;
    for (uint32_t first = 0; first < c->step_count; first += group) {
        const uint32_t count = c->step_count - first < group ? c->step_count - first : group;
        if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuEventRecord, cuda->marks[0], cuda->stream)) return status;
        for (uint32_t i = 0; i < count; i++) {
            status = launch(c, first + i, error);
            if (status || !INGOT_CUDA_TRY(status, cuda, NULL, error, cuEventRecord, cuda->marks[i + 1], cuda->stream))
                return status;
        }
        CUresult result = cuda->driver->cuStreamSynchronize(cuda->stream);
        if (result) return broken(cuda, result, "cuStreamSynchronize", NULL, error);
        for (uint32_t i = 0; i < count; i++) {
            float milliseconds = 0;
            if (!INGOT_CUDA_TRY(status, cuda, NULL, error, cuEventElapsedTime, &milliseconds, cuda->marks[i],
                                cuda->marks[i + 1]))
                return status;
            nanoseconds[first + i] = (uint64_t)((double)milliseconds * 1e6);
        }
    }
    return status;
}

ingot_status ingot_cuda_profile(ingot_context *c, uint64_t *nanoseconds, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    ingot_status status = ingot_cuda_wait(c, error);
    if (!status) status = begin(cuda, error);
    if (status) return status;
    stage(c, 0);
    status = copy(c, 0, error);
    if (!status) status = time_steps(c, nanoseconds, error);
    if (!status) status = copy(c, 1, error);
    if (!status) {
        /* Nothing is under way but the last copies: a wait by the driver, whatever waiting runs do. */
        CUresult result = cuda->driver->cuStreamSynchronize(cuda->stream);
        cuda->words->done = cuda->writes ? cuda->ticket : 1;
        cuda->recorded = 0;
        cuda->alone = 1;
        status = result ? broken(cuda, result, "cuStreamSynchronize", NULL, error) : finish(c, error);
    }
    ingot_cuda_leave(cuda);
    if (!status) stage(c, 1);
    return status;
}

ingot_status ingot_cuda_reset(ingot_context *c, ingot_error *error) {
    ingot_cuda *cuda = c->cuda;
    const uint64_t size = c->program->record->state_size;
    ingot_status status = ingot_cuda_wait(c, error);
    if (!status || status == INGOT_ERR_INDEX) status = begin(cuda, error);
    if (status) return status;
    if (size && INGOT_CUDA_TRY(status, cuda, NULL, error, cuMemcpyHtoDAsync, (CUdeviceptr)(uintptr_t)c->state,
                               cuda->first_state, size, cuda->stream)) {
        CUresult result = cuda->driver->cuStreamSynchronize(cuda->stream);
        if (result) status = broken(cuda, result, "cuStreamSynchronize", NULL, error);
    }
    ingot_cuda_leave(cuda);
    return status;
}
