/* Samples on a CUDA device: a candidate many times in one graph, between two events of the device. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/device.h"
#include "sample.h"

enum {
    SAMPLE = 200000,        /* nanoseconds that a sample lasts: what starting a graph takes is some 1% of it */
    WARM_UP = 5000000,      /* nanoseconds that the candidates run before anything counts */
    SPIN_UP = 300000000,    /* the same before the first problem: the device's clocks rise */
    MAX_RUNS = 256,         /* of a sample */
    MAX_COPIES = 256 << 20, /* bytes of constants for the runs of a sample */
};
static const double LEAST = 0.1; /* nanoseconds of a run: nothing takes no time */

static int is_cold(const ingot_tuner *t, const ingot_context *c) { return c->program->record->between_bytes > t->l2; }

static ingot_status try(const ingot_tune_cuda *cuda, CUresult result, const char *what, ingot_error *error) {
    return result ? ingot_driver_fail(cuda->driver, result, what, NULL, error) : INGOT_OK;
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

static ingot_status ask(ingot_tuner *t, ingot_cuda_properties *p, int *kilohertz, int *l2, ingot_error *error) {
    ingot_tune_cuda *cuda = &t->cuda;
    CUresult result = ingot_cuda_ask(cuda->driver, t->engine->device, p);
    if (!result) result = cuda->driver->cuDeviceGet(&cuda->device, t->engine->device);
    if (!result) result = cuda->driver->cuDeviceGetAttribute(kilohertz, CU_ATTRIBUTE_CLOCK_RATE, cuda->device);
    if (!result) result = cuda->driver->cuDeviceGetAttribute(l2, CU_ATTRIBUTE_L2_BYTES, cuda->device);
    return try(cuda, result, "cuDeviceGetAttribute", error);
}

/* Memory that empties the cache, where a step of the pack needs that. */
static ingot_status take_other(ingot_tuner *t, ingot_error *error) {
    ingot_tune_cuda *cuda = &t->cuda;
    CUcontext popped;
    for (uint32_t i = 0; i < t->engine->program_count; i++)
        if (t->engine->programs[i].record->between_bytes > t->l2) cuda->other_size = t->last;
    if (!cuda->other_size) return INGOT_OK;
    ingot_status status = try(cuda, cuda->driver->cuCtxPushCurrent(cuda->primary), "cuCtxPushCurrent", error);
    if (status) return status;
    status = try(cuda, cuda->driver->cuMemAlloc(&cuda->other, cuda->other_size), "cuMemAlloc", error);
    cuda->driver->cuCtxPopCurrent(&popped);
    return status;
}

ingot_status ingot_tune_cuda_create(ingot_tuner *t, ingot_error *error) {
    const ingot_variant *v = t->engine->variant;
    ingot_cuda_properties p;
    int kilohertz = 0, l2 = 0;
    t->cuda.driver = ingot_driver_get(error);
    if (!t->cuda.driver) return INGOT_ERR_NO_VARIANT;
    ingot_status status = ask(t, &p, &kilohertz, &l2, error);
    if (status) return status;
    if ((uint32_t)p.multiprocessors != v->sm_count)
        return ingot_fail(error, INGOT_ERR_NO_VARIANT, INGOT_NO_OFFSET,
                          "the pack is for %.60s: wanted sm_%u with %u multiprocessors, found %.60s: sm_%d with %d",
                          ingot_file_string(&t->engine->file, v->name), v->arch, v->sm_count, p.name, p.arch,
                          p.multiprocessors);
    t->l2 = l2 > 0 ? (uint64_t)l2 : INGOT_TUNE_L2_CACHE;
    t->last = 2 * t->l2;
    snprintf(t->machine, sizeof t->machine, "cuda sm_%d, %d multiprocessors, %d MHz, l2 %d, driver %d.%d: %s", p.arch,
             p.multiprocessors, kilohertz / 1000, l2, t->cuda.driver->version / 1000,
             t->cuda.driver->version % 1000 / 10, p.name);
    status = try(&t->cuda, t->cuda.driver->cuDevicePrimaryCtxRetain(&t->cuda.primary, t->cuda.device),
                 "cuDevicePrimaryCtxRetain", error);
    return status ? status : take_other(t, error);
}

static void destroy(ingot_tuner *t) {
    ingot_tune_cuda *cuda = &t->cuda;
    CUcontext popped;
    if (!cuda->primary) return;
    if (cuda->other && !cuda->driver->cuCtxPushCurrent(cuda->primary)) {
        cuda->driver->cuMemFree(cuda->other);
        cuda->driver->cuCtxPopCurrent(&popped);
    }
    cuda->driver->cuDevicePrimaryCtxRelease(cuda->device);
}

/* ---- one problem ------------------------------------------------------------------------------------------------- */

static void drop(ingot_tune_entry *e) {
    if (e->context) {
        ingot_cuda_repeat_end(e->context, &e->repeat, NULL);
        ingot_cuda_end(e->context);
    }
    free(e->host);
    e->context = NULL, e->host = NULL;
}

static void finish(ingot_tuner *t) {
    for (uint32_t i = 0; i < t->count; i++) drop(&t->entries[i]);
}

/* What says something of the candidate, and not of the device. */
static int is_its_own(ingot_status status) {
    return status == INGOT_ERR_MEMORY || status == INGOT_ERR_INDEX || status == INGOT_ERR_SELFTEST;
}

/* Whether the results of a run are those that the pack expects, where it says. */
static ingot_status check(const ingot_context *c, ingot_error *error) {
    const ingot_file *f = &c->engine->file;
    const ingot_range io = c->program->record->io;
    const ingot_table *table = &f->tables[INGOT_SECTION_SELFTEST];
    ingot_status status = INGOT_OK;
    for (uint32_t i = 0; i < table->count && !status; i++) {
        const ingot_selftest *test = (const ingot_selftest *)ingot_record(table, i);
        const uint32_t index = test->io - io.first;
        if (test->io >= io.first && index < io.count)
            status = ingot_self_test_output(f, c->program->record, index, test, c->io_data[index], error);
    }
    return status;
}

/* A context that has run once, and the check of what came out. */
static ingot_status try_once(ingot_tuner *t, ingot_tune_entry *e, uint32_t index, ingot_error *error) {
    const ingot_bound_program *program = &t->engine->programs[index];
    const ingot_context_options options = {.size = sizeof options, .threads = 1};
    ingot_memory memory = {.size = sizeof memory};
    ingot_status status = ingot_cuda_need(t->engine, program, &memory, error);
    if (status) return status;
    e->host = aligned_alloc(INGOT_CONTEXT_ALIGN, ingot_align(memory.host_size, INGOT_CONTEXT_ALIGN));
    if (!e->host) return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory for a context");
    memory.host = e->host;
    status = ingot_cuda_make(t->engine, program, &options, &memory, &e->context, error);
    if (status) return status;
    ingot_sample_fill(e->context);
    status = ingot_context_run(e->context, error);
    return status ? status : check(e->context, error);
}

/* The most runs that a sample may have. */
static uint32_t most_runs(const ingot_tuner *t, const ingot_context *c) {
    const uint64_t bytes = is_cold(t, c) ? ingot_cuda_repeat_bytes(c) : 0;
    if (!bytes || bytes * MAX_RUNS <= MAX_COPIES) return MAX_RUNS;
    return bytes < MAX_COPIES ? (uint32_t)(MAX_COPIES / bytes) : 1;
}

static ingot_status repeat(const ingot_tuner *t, ingot_tune_entry *e, uint32_t runs, ingot_error *error) {
    const ingot_status status = ingot_cuda_repeat_end(e->context, &e->repeat, error);
    if (status) return status;
    e->runs = runs;
    return ingot_cuda_repeat_make(e->context, runs, is_cold(t, e->context), &e->repeat, error);
}

/* Nanoseconds of a sample. */
static ingot_status whole(const ingot_tuner *t, const ingot_tune_entry *e, double *taken, ingot_error *error) {
    const uint64_t size = is_cold(t, e->context) ? t->cuda.other_size : 0;
    ingot_status status = ingot_cuda_repeat_time(e->context, &e->repeat, t->cuda.other, size, 0, taken, error);
    *taken -= t->clock.overhead;
    return status;
}

static ingot_status sample(ingot_tuner *t, ingot_tune_entry *e, double *nanoseconds, ingot_error *error) {
    double taken = 0;
    ingot_status status = whole(t, e, &taken, error);
    *nanoseconds = taken > LEAST * e->runs ? taken / e->runs : LEAST;
    return status;
}

static ingot_status calibrate(const ingot_tuner *t, ingot_tune_entry *e, ingot_error *error) {
    const uint32_t most = most_runs(t, e->context);
    double taken = 0;
    ingot_status status = INGOT_OK;
    for (uint32_t runs = 1; runs <= most; runs *= 4) {
        status = repeat(t, e, runs, error);
        for (int i = 0; i < 2 && !status; i++) status = whole(t, e, &taken, error); /* the first finds things cold */
        if (status || taken >= SAMPLE / 4) break;
    }
    if (status) return status;
    return repeat(t, e, ingot_sample_runs(SAMPLE, taken, e->runs, most), error);
}

/* Runs the candidates in turn; before the first problem until the clocks are up, and to learn what two events cost. */
static ingot_status warm(ingot_tuner *t, double seconds, const volatile int *stop, ingot_error *error) {
    const int first = !t->cuda.spun;
    const double begun = ingot_sample_now(), limit = first ? SPIN_UP : fmin(WARM_UP, seconds * 1e9);
    double taken, least = INFINITY;
    ingot_status status = INGOT_OK;
    for (uint32_t i = 0, idle = 0; idle < t->count && ingot_sample_now() - begun < limit && !(stop && *stop); i++) {
        ingot_tune_entry *e = &t->entries[i % t->count];
        idle = e->context ? 0 : idle + 1;
        if (!e->context) continue;
        status = ingot_cuda_repeat_time(e->context, &e->repeat, 0, 0, first, &taken, error);
        if (status) return status;
        least = fmin(least, taken);
    }
    if (first && isfinite(least)) t->clock.overhead = least, t->cuda.spun = 1;
    return status;
}

static ingot_status prepare(ingot_tuner *t, double seconds, const volatile int *stop, ingot_error *error) {
    ingot_status status = INGOT_OK;
    ingot_error why;
    for (uint32_t i = 0; i < t->count && !status && !(stop && *stop); i++) {
        ingot_tune_entry *e = &t->entries[i];
        ingot_clear(&why);
        status = try_once(t, e, t->first + i, &why);
        if (!status) status = calibrate(t, e, &why);
        if (!status) continue;
        drop(e);
        snprintf(e->reason, sizeof e->reason, "%.199s", why.message);
        e->wrong = status == INGOT_ERR_SELFTEST;
        if (is_its_own(status))
            status = INGOT_OK;
        else
            ingot_fail(error, status, INGOT_NO_OFFSET, "%.160s: %.200s", ingot_tuner_name(t, t->first + i),
                       why.message);
    }
    return status ? status : warm(t, seconds, stop, error);
}

const ingot_tune_way ingot_tune_on_cuda = {.prepare = prepare, .sample = sample, .finish = finish, .destroy = destroy};
