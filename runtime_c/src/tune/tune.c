/* What a tuner holds, and what it refuses. sample.c runs the clock. */
#include "tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sample.h"

enum { MAX_THREADS = INGOT_WORKERS_MAX_THREADS };

/* What a pack's level asks for, and what must not be used where it is measured. */
static const struct {
    const char *name;
    ingot_isa needs;
    ingot_isa_set without;
} levels[INGOT_CPU_LEVEL_COUNT] = {
    [INGOT_CPU_ANY] = {"any", INGOT_ISA_PORTABLE, 0},
    [INGOT_CPU_X86_64_V3] = {"x86-64-v3", INGOT_ISA_AVX2,
                             1U << INGOT_ISA_AVX512 | 1U << INGOT_ISA_AVX512VNNI | 1U << INGOT_ISA_AVX512BF16},
    [INGOT_CPU_X86_64_V4] = {"x86-64-v4", INGOT_ISA_AVX512, 0},
    [INGOT_CPU_AARCH64] = {"aarch64", INGOT_ISA_NEON, 0},
};

static ingot_status check_pack(const ingot_engine *engine, const ingot_machine *machine, ingot_error *error) {
    if (engine->programs[0].record->role != INGOT_ROLE_CANDIDATE)
        return ingot_fail(error, INGOT_ERR_UNSUPPORTED, INGOT_NO_OFFSET,
                          "this is an engine to run, not a tuning pack: ingot tune --pack writes one");
    const ingot_variant *v = engine->variant;
    if (v->backend == INGOT_BACKEND_CUDA) return INGOT_OK; /* the loader has found a device, or refused */
    if (v->arch >= INGOT_CPU_LEVEL_COUNT)
        return ingot_fail(error, INGOT_ERR_FORMAT, INGOT_NO_OFFSET, "the pack asks for an unknown processor (%u)",
                          v->arch);
    if (!(engine->isas >> levels[v->arch].needs & 1))
        return ingot_fail(error, INGOT_ERR_NO_VARIANT, INGOT_NO_OFFSET,
                          "the pack is for %.60s: wanted %s, found %s (%s)", ingot_file_string(&engine->file, v->name),
                          levels[v->arch].name, machine->arch, machine->isa);
    return INGOT_OK;
}

static uint32_t largest_group(const ingot_engine *engine) {
    uint32_t members = 0, largest = 0;
    for (uint32_t i = 0; i < engine->program_count; i++) {
        if (i && engine->programs[i].record->group != engine->programs[i - 1].record->group) members = 0;
        if (++members > largest) largest = members;
    }
    return largest;
}

static void write_machine(const ingot_machine *m, char *line) {
    snprintf(line, INGOT_TUNE_MACHINE, "%s %s, %u cores, l1d %llu, l2 %llu, last cache %llu: %s", m->arch, m->isa,
             m->cores, (unsigned long long)m->l1d, (unsigned long long)m->l2, (unsigned long long)m->last, m->model);
}

/* Candidates of a problem lie side by side: their contexts must fit together. */
static void find_sizes(const ingot_engine *engine, uint32_t threads, uint64_t cache, ingot_tuner *t) {
    uint64_t together = 0;
    for (uint32_t i = 0; i < engine->program_count; i++) {
        const ingot_bound_program *program = &engine->programs[i];
        if (i && program->record->group != engine->programs[i - 1].record->group) together = 0;
        together += ingot_context_need(engine, program, threads);
        if (together > t->block_size) t->block_size = together;
        uint64_t between = program->record->between_bytes < cache ? program->record->between_bytes : cache;
        if (between > t->other_size) t->other_size = between;
    }
}

/* Memory, threads and the clock. */
static ingot_status create_on_cpu(ingot_tuner *t, const ingot_machine *machine, ingot_error *error) {
    const ingot_engine *engine = t->engine;
    const uint32_t threads = t->threads;
    const size_t page = INGOT_CONTEXT_ALIGN;
    t->isas = engine->isas & ~levels[engine->variant->arch].without;
    t->last = 2 * (machine->last ? machine->last : INGOT_TUNE_LAST_CACHE);
    t->l2 = machine->l2 ? machine->l2 : INGOT_TUNE_L2_CACHE;
    write_machine(machine, t->machine);
    find_sizes(engine, threads, t->last, t);
    t->block = aligned_alloc(page, ingot_align(t->block_size, page));
    t->other = aligned_alloc(page, ingot_align(t->other_size + 1, page));
    t->workers_memory = threads > 1 ? aligned_alloc(page, ingot_align(ingot_workers_memory(threads), page)) : NULL;
    if (!t->block || !t->other || (threads > 1 && !t->workers_memory))
        return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET,
                          "no memory for %llu bytes, what the candidates of the largest problem take together",
                          (unsigned long long)(t->block_size + t->other_size));
    memset(t->other, 1, t->other_size); /* pages of their own, not the one page of zeros */
    const char *failed = NULL;
    const ingot_workers_options wanted = {.threads = threads, .spin_limit = INGOT_WORKERS_SPIN_LIMIT};
    int system = threads > 1 ? ingot_workers_start(t->workers_memory, &wanted, &t->workers, &failed) : 0;
    if (system)
        return ingot_fail(error, INGOT_ERR_THREAD, INGOT_NO_OFFSET, "cannot start %u threads: %s: %s", threads - 1,
                          failed, strerror(system));
    ingot_sample_clock(&t->clock);
    return INGOT_OK;
}

ingot_status ingot_tuner_create(const ingot_engine *engine, uint32_t threads, ingot_tuner **tuner, ingot_error *error) {
    ingot_clear(error);
    if (!engine || !tuner || threads < 1 || threads > MAX_THREADS)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET,
                          "engine or tuner is NULL, or threads not in 1..%d", MAX_THREADS);
    *tuner = NULL;
    ingot_machine machine;
    ingot_machine_read(&machine);
    const int on_cuda = engine->variant->backend == INGOT_BACKEND_CUDA;
    ingot_status status = check_pack(engine, &machine, error);
    if (!status && on_cuda && threads > 1)
        status = ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET,
                            "a pack for CUDA is measured with 1 thread: the device does the work");
    if (status) return status;
    ingot_tuner *t = calloc(1, sizeof *t);
    if (!t) return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory for the tuner");
    t->engine = engine;
    t->threads = threads;
    t->way = on_cuda ? &ingot_tune_on_cuda : &ingot_tune_cpu;
    t->largest_group = largest_group(engine);
    t->entries = calloc(t->largest_group, sizeof *t->entries);
    if (!t->entries)
        status = ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory for the tuner");
    else
        status = on_cuda ? ingot_tune_cuda_create(t, error) : create_on_cpu(t, &machine, error);
    if (status)
        ingot_tuner_destroy(t);
    else
        *tuner = t;
    return status;
}

void ingot_tuner_destroy(ingot_tuner *t) {
    if (!t) return;
    if (t->entries && t->way->finish) t->way->finish(t);
    if (t->way->destroy) t->way->destroy(t);
    ingot_workers_stop(t->workers);
    free(t->workers_memory), free(t->entries), free(t->other), free(t->block);
    free(t);
}

uint32_t ingot_tuner_count(const ingot_tuner *t) { return t->engine->program_count; }

const char *ingot_tuner_name(const ingot_tuner *t, uint32_t candidate) {
    if (candidate >= t->engine->program_count) return NULL;
    return ingot_file_string(&t->engine->file, t->engine->programs[candidate].record->name);
}

uint32_t ingot_tuner_next(const ingot_tuner *t, uint32_t candidate) {
    const ingot_bound_program *programs = t->engine->programs;
    uint32_t next = candidate + 1;
    while (next < t->engine->program_count && programs[next].record->group == programs[candidate].record->group) next++;
    return next;
}

ingot_context *ingot_tuner_context(ingot_tuner *t, uint32_t candidate) {
    return candidate - t->first < t->count ? t->entries[candidate - t->first].context : NULL;
}

const char *ingot_tuner_reason(const ingot_tuner *t, uint32_t candidate) {
    if (candidate - t->first >= t->count) return NULL;
    const char *reason = t->entries[candidate - t->first].reason;
    return *reason ? reason : NULL;
}

const char *ingot_tuner_machine(const ingot_tuner *t) { return t->machine; }
