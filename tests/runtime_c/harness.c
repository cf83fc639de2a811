#include "harness.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "crc32c.h"
#include "internal.h"
#include "tune/tune.h"

uint8_t *harness_allocate(size_t size, size_t alignment) {
    void *block = NULL;
    if (posix_memalign(&block, alignment, size ? size : 1) != 0) {
        fprintf(stderr, "no memory for %zu bytes\n", size);
        exit(2);
    }
    return block;
}

uint8_t *harness_read(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(2);
    }
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = harness_allocate(*size, 256);
    if (fread(bytes, 1, *size, file) != *size) {
        perror(path);
        exit(2);
    }
    fclose(file);
    return bytes;
}

void harness_reseal(uint8_t *bytes, size_t size) {
    ingot_header header;
    if (size < sizeof header) return;
    memcpy(&header, bytes, sizeof header);
    header.file_size = size;
    uint64_t room = (size - sizeof header) / sizeof(ingot_section);
    uint64_t count = header.section_count < room ? header.section_count : room;
    uint8_t *table = bytes + sizeof header;
    for (uint64_t i = 0; i < count; i++) {
        ingot_section section;
        memcpy(&section, table + i * sizeof section, sizeof section);
        if (section.offset > size || section.size > size - section.offset) continue;
        section.crc32c = ingot_crc32c(0, bytes + section.offset, section.size);
        memcpy(table + i * sizeof section, &section, sizeof section);
    }
    header.table_crc32c = ingot_crc32c(0, table, count * sizeof(ingot_section));
    header.header_crc32c = 0;
    header.header_crc32c = ingot_crc32c(0, &header, sizeof header);
    memcpy(bytes, &header, sizeof header);
}

/* -- a step alone -------------------------------------------------------------------------------------------------- */

/* A block of exactly the operand's bytes: what a kernel may touch, and with `tail` the 64 bytes it may read. */
static uint8_t *own_block(const ingot_arg *arg, const void *content, int tail, uint64_t seed) {
    uint64_t bytes = ingot_view_bytes(arg->dtype, arg->rank, arg->dims, arg->pitch);
    uint8_t *block = harness_allocate(bytes + (tail ? INGOT_TAIL_BYTES : 0), 64);
    if (content)
        memcpy(block, content, bytes);
    else
        ingot_fill_random(block, arg->dtype, bytes, seed);
    if (tail) memset(block + bytes, 0xa5, INGOT_TAIL_BYTES);
    return block;
}

static void run_apart(const ingot_engine *engine, const ingot_bound_step *step, uint64_t limit) {
    const ingot_family *family = step->kernel->family;
    ingot_arg args[INGOT_MAX_OPERANDS];
    ingot_call call;
    ingot_fill_call(&engine->file, engine->programs[0].record, step, args, &call);
    uint32_t total = call.in_count + call.out_count;
    uint64_t needed = call.workspace_size;
    for (uint32_t k = 0; k < total; k++)
        needed += ingot_view_bytes(args[k].dtype, args[k].rank, args[k].dims, args[k].pitch);
    uint64_t state = family->state_size ? family->state_size(&call) : 0;
    uint64_t scratch = family->scratch_size ? family->scratch_size(&call) : 0;
    if (needed > limit || state > limit || scratch > limit) return;

    uint8_t *blocks[INGOT_MAX_OPERANDS] = {0};
    for (uint32_t k = 0; k < total; k++) {
        if (args[k].dtype == INGOT_DTYPE_NONE) continue;
        int tail = k < call.in_count && (family->flags & INGOT_KERNEL_OVERREADS);
        blocks[k] = own_block(&args[k], args[k].data, tail, k);
    }
    /* Constants keep their own address during prepare only as content: a kernel may have kept the pointer. */
    for (uint32_t k = 0; k < total; k++)
        if (args[k].data) args[k].data = blocks[k];
    call.state = state ? harness_allocate(state, 64) : NULL;
    call.workspace = call.workspace_size ? harness_allocate(call.workspace_size, 64) : NULL;
    uint8_t *own_scratch = scratch ? harness_allocate(scratch, 64) : NULL;
    uint8_t *params = harness_allocate(family->params_size, 16);
    memcpy(params, call.params, family->params_size);
    call.params = params;
    if (family->prepare) family->prepare(&call);
    for (uint32_t k = 0; k < total; k++) args[k].data = blocks[k];
    uint32_t units = family->units ? family->units(&call) : 1, half = units / 2;
    if (half) step->run(&call, 0, half, own_scratch);
    if (units > half) step->run(&call, half, units, own_scratch);
    for (uint32_t k = 0; k < total; k++) free(blocks[k]);
    free(call.state), free(call.workspace), free(own_scratch), free(params);
}

/* -- all of it ----------------------------------------------------------------------------------------------------- */

static ingot_status bind_own(ingot_context *context, const ingot_engine *engine, uint8_t **blocks, ingot_error *error) {
    for (uint32_t i = 0; i < ingot_engine_io_count(engine); i++) {
        ingot_io_info info = {.size = sizeof info};
        ingot_status status = ingot_engine_io_info(engine, i, &info);
        if (status) return status;
        blocks[i] = harness_allocate(info.bytes, 64);
        ingot_fill_random(blocks[i], info.dtype, info.bytes, i);
        if (info.dtype >= INGOT_I8 && info.dtype <= INGOT_U64) memset(blocks[i], 0, info.bytes);
        status = ingot_context_bind(context, i, blocks[i], info.bytes, error);
        if (status) return status;
    }
    return INGOT_OK;
}

/* All extents at their smallest, then at their largest: what the shape program patches is run as well. */
static void vary_shapes(ingot_context *context, const ingot_engine *engine) {
    for (uint32_t i = 0; i < ingot_engine_io_count(engine); i++) ingot_context_bind(context, i, NULL, 0, NULL);
    for (int largest = 0; largest < 2; largest++) {
        for (uint32_t i = 0; i < ingot_engine_io_count(engine); i++) {
            ingot_io_info info = {.size = sizeof info};
            ingot_engine_io_info(engine, i, &info);
            if (!info.is_output)
                ingot_context_set_shape(context, i, largest ? info.dims : info.dims_min, info.rank, NULL);
        }
        ingot_context_run(context, NULL);
    }
}

/* Every candidate of a tuning pack: memory laid out, generated data, some runs. */
static ingot_status measure_pack(const ingot_engine *engine, const harness_limits *limits, ingot_error *error) {
    if (engine->variant->backend == INGOT_BACKEND_CUDA) return INGOT_OK; /* verified; no device to measure on */
    for (uint32_t i = 0; i < engine->program_count; i++)
        if (ingot_context_need(engine, &engine->programs[i], 1) > limits->memory) return INGOT_OK;
    ingot_tuner *tuner;
    ingot_status status = ingot_tuner_create(engine, limits->threads ? limits->threads : 1, &tuner, error);
    if (status) return status;
    const int stop = 1; /* after the first run of each */
    ingot_timing *timings = calloc(ingot_tuner_count(tuner), sizeof *timings);
    for (uint32_t i = 0; !status && timings && i < ingot_tuner_count(tuner); i = ingot_tuner_next(tuner, i))
        status = ingot_tuner_measure(tuner, i, 0, &stop, timings, error);
    free(timings);
    ingot_tuner_destroy(tuner);
    return status;
}

ingot_status harness_exercise(const uint8_t *bytes, size_t size, const harness_limits *limits, ingot_error *error) {
    ingot_engine *engine;
    const ingot_options any = {.size = sizeof any, .flags = INGOT_OPEN_ANY_MACHINE}; /* CUDA engines: all but a run */
    ingot_status status = ingot_engine_open(bytes, size, &any, &engine, error);
    if (status) return status;
    if (engine->programs[0].record->role == INGOT_ROLE_CANDIDATE) {
        status = measure_pack(engine, limits, error);
        ingot_engine_close(engine);
        return status;
    }
    ingot_context_options options = {.size = sizeof options, .threads = limits->threads};
    ingot_memory memory = {.size = sizeof memory};
    uint32_t count = ingot_engine_io_count(engine);
    uint8_t **blocks = calloc(count + 1, sizeof *blocks);
    uint64_t bound = 0;
    for (uint32_t i = 0; i < count; i++) {
        ingot_io_info info = {.size = sizeof info};
        ingot_engine_io_info(engine, i, &info);
        bound += info.bytes;
    }
    status = ingot_context_memory(engine, &options, &memory, error);
    if (status == INGOT_ERR_NO_VARIANT) { /* it is for a device: no more can be done with it here */
        free(blocks);
        ingot_engine_close(engine);
        return INGOT_OK;
    }
    if (!status && memory.host_size <= limits->memory && bound <= limits->memory && blocks) {
        memory.host = harness_allocate(memory.host_size, 4096);
        ingot_context *context;
        status = ingot_context_init(engine, &options, &memory, &context, error);
        if (!status) {
            status = bind_own(context, engine, blocks, error);
            if (!status) status = ingot_context_run(context, error);
            if (status == INGOT_ERR_INDEX) status = INGOT_OK; /* the data were made up */
            vary_shapes(context, engine);
            ingot_context_destroy(context);
        }
        free(memory.host);
        for (uint32_t i = 0; limits->apart && i < engine->programs[0].record->steps.count; i++)
            run_apart(engine, &engine->programs[0].steps[i], limits->memory);
        if (!status && engine->file.tables[INGOT_SECTION_SELFTEST].count) ingot_self_test(engine, NULL);
    }
    for (uint32_t i = 0; i < count; i++) free(blocks[i]);
    free(blocks);
    ingot_engine_close(engine);
    return status;
}
