/* Engines: open, check, close, ask. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/device.h"
#include "internal.h"

/* Finds the kernels of one program; with `same_bits` those that give the same bits on any machine. */
static ingot_status bind_program(const ingot_file *f, const ingot_program *record, uint32_t backend, ingot_isa_set isas,
                                 int same_bits, ingot_bound_program *bound, ingot_isa *best, ingot_error *error) {
    const ingot_table *kernels = &f->tables[INGOT_SECTION_KERNELS];
    bound->record = record;
    bound->operand_count = 0;
    bound->steps = calloc(record->steps.count ? record->steps.count : 1, sizeof *bound->steps);
    if (!bound->steps) return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory for the steps");
    for (uint32_t i = 0; i < record->steps.count; i++) {
        const ingot_step *s = ingot_get_step(f, record, i);
        const ingot_kernel_ref *ref = (const ingot_kernel_ref *)ingot_record(kernels, s->kernel);
        uint64_t at = ingot_record_offset(kernels, s->kernel);
        const char *name = ingot_file_string(f, ref->name);
        const ingot_kernel *kernel = ingot_kernel_find(backend, name);
        if (!kernel)
            return ingot_fail(error, INGOT_ERR_KERNEL, at,
                              "the engine needs kernel %.80s, which this runtime lacks: update "
                              "the runtime",
                              name);
        if (ref->abi != kernel->abi || ref->params_size != kernel->family->params_size ||
            s->params_size != ref->params_size)
            return ingot_fail(error, INGOT_ERR_KERNEL, at,
                              "kernel %.80s: the engine has abi %u with %u bytes of parameters, "
                              "this runtime abi %u with %u: build the engine again, or change the runtime",
                              name, ref->abi, ref->params_size, kernel->abi, kernel->family->params_size);
        const int differs = same_bits && !(kernel->family->flags & INGOT_KERNEL_EXACT);
        ingot_isa isa;
        bound->steps[i] =
            (ingot_bound_step){kernel, ingot_kernel_select(kernel, differs ? 1U << INGOT_ISA_PORTABLE : isas, &isa),
                               f->tables[INGOT_SECTION_PARAMS].base + s->params, s};
        if (isa > *best) *best = isa;
        bound->operand_count += (uint32_t)s->in_count + s->out_count;
    }
    return INGOT_OK;
}

/* Whether this machine can run a variant; a CUDA one on which device. */
static ingot_status fits(const ingot_file *f, const ingot_variant *v, const ingot_options *options, int *device,
                         ingot_error *error) {
    if (v->backend == INGOT_BACKEND_CPU) return INGOT_OK;
    if (options && (options->flags & INGOT_OPEN_SAME_BITS))
        return ingot_fail(error, INGOT_ERR_NO_VARIANT, INGOT_NO_OFFSET,
                          "built for %.60s: the same bits on any machine are wanted, which CUDA does not promise for "
                          "floating point",
                          ingot_file_string(f, v->name));
    return ingot_cuda_find_device(f, v, options ? options->device : 0, device, error);
}

/* Of the variants that this machine can run the preferred one, CUDA before CPU on ties; of several alike the first.
 * When it can run none, the preferred one with the reason in engine->unfit. */
static void choose_variant(ingot_engine *engine, const ingot_options *options) {
    const ingot_file *f = &engine->file;
    const ingot_table *table = &f->tables[INGOT_SECTION_VARIANTS];
    ingot_clear(&engine->unfit);
    for (uint32_t i = 0; i < table->count; i++) {
        const ingot_variant *v = (const ingot_variant *)ingot_record(table, i), *best = engine->variant;
        int better = !best || v->preference > best->preference ||
                     (v->preference == best->preference && v->backend > best->backend);
        if (!better && !engine->unfit.status) continue;
        int device = 0;
        ingot_error reason;
        ingot_clear(&reason);
        ingot_status status = fits(f, v, options, &device, &reason);
        if (status && best && !(engine->unfit.status && better)) continue;
        engine->variant = v;
        engine->device = device;
        engine->unfit = reason;
    }
}

static void release_programs(ingot_engine *engine) {
    for (uint32_t i = 0; engine->programs && i < engine->program_count; i++) free(engine->programs[i].steps);
    free(engine->programs);
    engine->programs = NULL;
}

static void release(ingot_engine *engine) {
    release_programs(engine);
    ingot_file_close(&engine->file);
}

/* Kernels of a variant, and the proof that its steps and its plan are sound. */
static ingot_status bind_variant(ingot_engine *engine, const ingot_variant *variant, int same_bits,
                                 ingot_error *error) {
    const ingot_file *f = &engine->file;
    ingot_status status = INGOT_OK;
    engine->best_isa = INGOT_ISA_PORTABLE;
    engine->program_count = 0;
    engine->programs = calloc(variant->programs.count, sizeof *engine->programs);
    if (!engine->programs) return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory for the programs");
    for (uint32_t i = 0; !status && i < variant->programs.count; i++) {
        const ingot_program *record =
            (const ingot_program *)ingot_record(&f->tables[INGOT_SECTION_PROGRAMS], variant->programs.first + i);
        engine->program_count = i + 1;
        status = bind_program(f, record, variant->backend, engine->isas, same_bits, &engine->programs[i],
                              &engine->best_isa, error);
        if (!status) status = ingot_verify_steps(f, &engine->programs[i], error);
        if (!status) status = ingot_verify_sharing(f, record, error);
    }
    return status;
}

/* Everything but the allocation of the engine itself: open and check share it. */
static ingot_status load(ingot_engine *engine, const void *bytes, size_t size, const ingot_options *options,
                         ingot_error *error) {
    const uint32_t flags = options ? options->flags : 0;
    const int same_bits = (flags & INGOT_OPEN_SAME_BITS) != 0;
    const char *isa_name = options && options->isa ? options->isa : getenv("INGOT_ISA");
    engine->isas = ingot_isa_allowed(isa_name);
    if (!engine->isas)
        return ingot_fail(error, INGOT_ERR_ISA, INGOT_NO_OFFSET,
                          "instruction set %.40s (INGOT_ISA) is unknown or not in this "
                          "processor, whose best is %s",
                          isa_name, ingot_isa_name(ingot_isa_best()));
    ingot_status status = ingot_file_open(bytes, size, options, &engine->file, error);
    if (status) return status;
    const ingot_table *variants = &engine->file.tables[INGOT_SECTION_VARIANTS];
    status = ingot_verify_records(&engine->file, error);
    if (!status) choose_variant(engine, options);
    for (uint32_t i = 0; !status && (flags & INGOT_OPEN_ANY_MACHINE) && i < variants->count; i++) {
        const ingot_variant *other = (const ingot_variant *)ingot_record(variants, i);
        if (other == engine->variant) continue;
        status = bind_variant(engine, other, same_bits, error);
        release_programs(engine);
    }
    if (!status && engine->unfit.status && !(flags & INGOT_OPEN_ANY_MACHINE)) {
        if (error) *error = engine->unfit;
        status = engine->unfit.status;
    }
    if (!status) status = bind_variant(engine, engine->variant, same_bits, error);
    if (status) {
        release(engine);
        memset(&engine->file, 0, sizeof engine->file);
        return status;
    }
    if (engine->variant->backend == INGOT_BACKEND_CUDA)
        snprintf(engine->code, sizeof engine->code, "sm_%u", engine->variant->arch % 10000);
    else
        snprintf(engine->code, sizeof engine->code, "%s", ingot_isa_name(engine->best_isa));
    return INGOT_OK;
}

static ingot_status check_arguments(const void *bytes, const ingot_options *options, ingot_error *error) {
    ingot_clear(error);
    if (!bytes || (uintptr_t)bytes % 64)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET,
                          "the engine's bytes are NULL or not aligned to 64");
    const uint32_t known = INGOT_OPEN_LOCK | INGOT_OPEN_CHECK_SHA256 | INGOT_OPEN_REQUIRE_SIGNATURE |
                           INGOT_OPEN_TRUST_CONSTANTS | INGOT_OPEN_SAME_BITS | INGOT_OPEN_ANY_MACHINE;
    if (options && (options->size != sizeof *options || (options->flags & ~known)))
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "ingot_options: wrong size or unknown flags");
    return INGOT_OK;
}

ingot_status ingot_engine_open(const void *bytes, size_t size, const ingot_options *options, ingot_engine **engine,
                               ingot_error *error) {
    ingot_status status = check_arguments(bytes, options, error);
    if (status) return status;
    if (!engine) return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "engine is NULL");
    *engine = NULL;
    ingot_engine *made = calloc(1, sizeof *made);
    if (!made) return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory for the engine");
    status = load(made, bytes, size, options, error);
    if (status) {
        free(made);
        return status;
    }
    *engine = made;
    return INGOT_OK;
}

ingot_status ingot_engine_open_file(const char *path, const ingot_options *options, ingot_engine **engine,
                                    ingot_error *error) {
    ingot_clear(error);
    if (!path || !engine) return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "path or engine is NULL");
    *engine = NULL;
    int lock = options && (options->flags & INGOT_OPEN_LOCK);
    ingot_map map = {0};
    const char *failed = NULL;
    int system = ingot_map_open(&map, path, lock ? INGOT_MAP_LOCKED : INGOT_MAP_SHARED_PAGES, &failed);
    if (system)
        return ingot_fail(error, INGOT_ERR_FILE, INGOT_NO_OFFSET, "%.120s: %s: %s", path, failed, strerror(system));
    ingot_status status;
    if (map.lock_error)
        status = ingot_fail(error, INGOT_ERR_FILE, INGOT_NO_OFFSET,
                            "%.120s: cannot lock %zu bytes in memory: %s; raise the limit (ulimit -l)", path, map.size,
                            strerror(map.lock_error));
    else
        status = ingot_engine_open(map.bytes, map.size, options, engine, error);
    if (status)
        ingot_map_close(&map);
    else
        (*engine)->map = map;
    return status;
}

ingot_status ingot_engine_check(const void *bytes, size_t size, const ingot_options *options, ingot_error *error) {
    ingot_status status = check_arguments(bytes, options, error);
    if (status) return status;
    ingot_options all = {.size = sizeof all};
    if (options) all = *options;
    all.flags |= INGOT_OPEN_CHECK_SHA256 | INGOT_OPEN_ANY_MACHINE;
    all.flags &= ~(uint32_t)INGOT_OPEN_TRUST_CONSTANTS;
    ingot_engine engine = {0};
    status = load(&engine, bytes, size, &all, error);
    if (!status) release(&engine);
    return status;
}

void ingot_engine_close(ingot_engine *engine) {
    if (!engine) return;
    release(engine);
    ingot_map_close(&engine->map);
    free(engine);
}

ingot_status ingot_engine_get_info(const ingot_engine *engine, ingot_engine_info *info) {
    const uint32_t first = offsetof(ingot_engine_info, unfit); /* the size before there was CUDA */
    if (!engine || !info || (info->size != sizeof *info && info->size != first)) return INGOT_ERR_ARGUMENT;
    const ingot_program *program = engine->programs[0].record;
    if (info->size != first) info->unfit = engine->unfit.status ? engine->unfit.message : NULL;
    info->step_count = program->steps.count;
    info->variant = ingot_file_string(&engine->file, engine->variant->name);
    info->isa = engine->code;
    memcpy(info->digest, engine->file.header.digest, sizeof info->digest);
    info->arena_size = program->arena_size;
    info->constant_size = engine->file.tables[INGOT_SECTION_CONSTANTS].size;
    return INGOT_OK;
}

uint32_t ingot_engine_io_count(const ingot_engine *engine) { return engine ? engine->programs[0].record->io.count : 0; }

ingot_status ingot_engine_io_info(const ingot_engine *engine, uint32_t index, ingot_io_info *info) {
    if (!info || info->size != sizeof *info || index >= ingot_engine_io_count(engine)) return INGOT_ERR_ARGUMENT;
    const ingot_program *p = engine->programs[0].record;
    const ingot_io *io = ingot_get_io(&engine->file, p, index);
    const ingot_tensor *t = ingot_get_tensor(&engine->file, p, io->tensor);
    info->dtype = t->dtype;
    info->name = ingot_file_string(&engine->file, io->name);
    info->is_output = io->is_output;
    info->rank = t->rank;
    memcpy(info->dims, io->dims_max, sizeof info->dims);
    memcpy(info->dims_min, io->dims_min, sizeof info->dims_min);
    info->bytes = ingot_get_buffer(&engine->file, p, t->buffer)->size;
    return INGOT_OK;
}

uint32_t ingot_engine_io_find(const ingot_engine *engine, const char *name) {
    for (uint32_t i = 0; name && i < ingot_engine_io_count(engine); i++) {
        const ingot_io *io = ingot_get_io(&engine->file, engine->programs[0].record, i);
        if (strcmp(ingot_file_string(&engine->file, io->name), name) == 0) return i;
    }
    return UINT32_MAX;
}

const char *ingot_engine_step_name(const ingot_engine *engine, uint32_t step) {
    if (!engine || step >= engine->programs[0].record->steps.count) return NULL;
    return ingot_file_string(&engine->file, engine->programs[0].steps[step].record->name);
}

const char *ingot_engine_step_kernel(const ingot_engine *engine, uint32_t step) {
    if (!engine || step >= engine->programs[0].record->steps.count) return NULL;
    return engine->programs[0].steps[step].kernel->name;
}
