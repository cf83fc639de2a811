/* The loop: every step in file order, work units split over the threads. Nothing here allocates, locks or, in spin
 * mode, enters the kernel. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <string.h>
#include <time.h>

#include "context.h"
#include "cuda/cuda.h"
#include "fpenv.h"

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* One thread's share of a run. Units are split evenly by their number, so that a thread always gets the same ones. */
static void work(void *user, uint32_t thread) {
    ingot_context *c = user;
    uint8_t *scratch = c->scratch + thread * c->scratch_stride;
    uint64_t *profile = c->profile, before = profile && thread == 0 ? now() : 0;
    int32_t failed = -1;
    for (uint32_t i = 0; i < c->step_count; i++) {
        const ingot_context_step *step = &c->steps[i];
        uint32_t begin = (uint32_t)((uint64_t)step->units * thread / c->threads);
        uint32_t end = (uint32_t)((uint64_t)step->units * (thread + 1) / c->threads);
        if (step->units == 1) begin = 0, end = thread == 0; /* thread 0 does what cannot be split */
        if (begin < end && step->run(&step->call, begin, end, scratch) != INGOT_KERNEL_OK && failed < 0)
            failed = (int32_t)i;
        if (step->barrier || profile) ingot_workers_barrier(c->workers, thread);
        if (profile && thread == 0) {
            uint64_t after = now();
            profile[i] = after - before;
            before = after;
        }
    }
    c->failed[thread] = failed;
}

static int32_t run_alone(ingot_context *c) {
    ingot_fpenv mode = ingot_fpenv_enter();
    int32_t failed = -1;
    for (uint32_t i = 0; i < c->step_count; i++) {
        const ingot_context_step *step = &c->steps[i];
        if (step->run(&step->call, 0, step->units, c->scratch) != INGOT_KERNEL_OK) {
            failed = (int32_t)i;
            break;
        }
    }
    ingot_fpenv_leave(mode);
    return failed;
}

static int32_t profile_alone(ingot_context *c) {
    ingot_fpenv mode = ingot_fpenv_enter();
    int32_t failed = -1;
    uint64_t before = now();
    for (uint32_t i = 0; i < c->step_count && failed < 0; i++) {
        const ingot_context_step *step = &c->steps[i];
        if (step->run(&step->call, 0, step->units, c->scratch) != INGOT_KERNEL_OK) failed = (int32_t)i;
        uint64_t after = now();
        c->profile[i] = after - before;
        before = after;
    }
    ingot_fpenv_leave(mode);
    return failed;
}

static int32_t run_together(ingot_context *c) {
    ingot_fpenv mode = ingot_fpenv_enter(); /* the workers are in it for good */
    ingot_workers_run(c->workers, work, c);
    ingot_fpenv_leave(mode);
    int32_t failed = -1;
    for (uint32_t t = 0; t < c->threads; t++)
        if (c->failed[t] >= 0 && (failed < 0 || c->failed[t] < failed)) failed = c->failed[t];
    return failed;
}

static ingot_status finish(ingot_context *c, int32_t failed, ingot_error *error) {
    c->runs++;
    if (failed < 0) return INGOT_OK;
    return ingot_fail(error, INGOT_ERR_INDEX, INGOT_NO_OFFSET, "step %d (%.80s): an index in the data is out of range",
                      failed, ingot_file_string(&c->engine->file, c->program->steps[failed].record->name));
}

ingot_status ingot_context_start_workers(ingot_context *c, void *memory, const ingot_context_options *options,
                                         ingot_error *error) {
    const char *failed = NULL;
    const ingot_workers_options wanted = {.threads = options->threads,
                                          .wait = options->wait,
                                          .spin_limit = INGOT_WORKERS_SPIN_LIMIT,
                                          .priority = options->priority,
                                          .cpus = options->cpus};
    int system = ingot_workers_start(memory, &wanted, &c->workers, &failed);
    if (system)
        return ingot_fail(error, INGOT_ERR_THREAD, INGOT_NO_OFFSET, "cannot start %u threads: %s: %s",
                          options->threads - 1, failed, strerror(system));
    return INGOT_OK;
}

ingot_status ingot_context_run(ingot_context *c, ingot_error *error) {
    if (!c) return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "context is NULL");
    if (c->cuda) return ingot_cuda_run(c, error);
    if (c->shape_pending || c->stale) return ingot_context_not_ready(c, error);
    return finish(c, c->together ? run_together(c) : run_alone(c), error);
}

ingot_status ingot_context_profile(ingot_context *c, uint64_t *nanoseconds, uint32_t step_count, ingot_error *error) {
    if (!c || !nanoseconds || step_count != c->step_count)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "profile: NULL, or not an entry for each step");
    if (c->cuda) return ingot_cuda_profile(c, nanoseconds, error);
    if (c->shape_pending || c->stale) return ingot_context_not_ready(c, error);
    memset(nanoseconds, 0, step_count * sizeof *nanoseconds);
    c->profile = nanoseconds;
    int32_t failed = c->together ? run_together(c) : profile_alone(c);
    c->profile = NULL;
    return finish(c, failed, error);
}

static ingot_status no_queue(const ingot_context *context, ingot_error *error) {
    if (!context) return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "context is NULL");
    return ingot_fail(error, INGOT_ERR_UNSUPPORTED, INGOT_NO_OFFSET,
                      "a CPU engine has no queue: call ingot_context_run");
}

ingot_status ingot_context_enqueue(ingot_context *context, void *stream, ingot_error *error) {
    return context && context->cuda ? ingot_cuda_enqueue(context, stream, error) : no_queue(context, error);
}

ingot_status ingot_context_wait(ingot_context *context, ingot_error *error) {
    return context && context->cuda ? ingot_cuda_wait(context, error) : no_queue(context, error);
}
