/* One kernel on plain memory. */
#include "direct.h"

#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "crc32c.h"
#include "fpenv.h"
#include "internal.h"
#include "sha256.h"

static const char *fill(const ingot_direct_operand *operand, ingot_arg *arg) {
    ingot_fill_arg(NULL, NULL, arg);
    if (operand->dtype == INGOT_DTYPE_NONE) return NULL;
    if (operand->rank > INGOT_MAX_RANK || !ingot_dtype_bits(operand->dtype)) return "rank or type is out of range";
    arg->rank = (uint8_t)operand->rank;
    for (uint32_t d = 0; d < operand->rank; d++) {
        if (operand->dims[d] < 0) return "an extent is negative";
        arg->dims[d] = operand->dims[d];
        if (__builtin_mul_overflow(arg->count, operand->dims[d], &arg->count)) return "too many elements";
    }
    arg->pitch = operand->pitch;
    if (operand->pitch < (operand->rank ? operand->dims[operand->rank - 1] : 1))
        return "the pitch is smaller than a row";
    arg->dtype = (uint8_t)operand->dtype;
    arg->storage = (uint8_t)operand->storage;
    arg->data = operand->data;
    return NULL;
}

/* What a call consists of, and where it is kept. */
typedef struct direct_call {
    ingot_call call;
    ingot_arg args[INGOT_MAX_OPERANDS];
    void *params;
} direct_call;

/* Describes the call and asks the kernel's own check; `to->params` is to be freed when it agrees. */
static ingot_status describe(const char *name, const ingot_family *family, const ingot_direct_operand *operands,
                             uint32_t in_count, uint32_t out_count, const void *params, uint64_t params_size,
                             void *workspace, uint64_t workspace_size, const ingot_grid *grid, direct_call *to,
                             ingot_error *error) {
    if (in_count + out_count > INGOT_MAX_OPERANDS || params_size != family->params_size)
        return ingot_fail(error, INGOT_ERR_STEP, INGOT_NO_OFFSET,
                          "kernel %.80s: %u operands, %llu bytes of parameters for %u", name, in_count + out_count,
                          (unsigned long long)params_size, family->params_size);
    if (in_count < family->in_min || in_count > family->in_max || out_count < family->out_min ||
        out_count > family->out_max)
        return ingot_fail(error, INGOT_ERR_STEP, INGOT_NO_OFFSET, "kernel %.80s does not take %u inputs and %u outputs",
                          name, in_count, out_count);
    for (uint32_t i = 0; i < in_count + out_count; i++) {
        ingot_arg *arg = &to->args[i];
        const char *reason = fill(&operands[i], arg);
        if (!reason && !(family->flags & INGOT_KERNEL_PITCHED) && arg->rank && arg->pitch != arg->dims[arg->rank - 1])
            reason = "the kernel takes dense operands alone";
        if (reason)
            return ingot_fail(error, INGOT_ERR_STEP, INGOT_NO_OFFSET, "kernel %.80s, operand %u: %s", name, i, reason);
    }
    /* Parameters are 16-byte aligned in a file: give the kernel the same. */
    uint64_t copy_size = ingot_align(params_size, 64);
    to->params = copy_size ? aligned_alloc(64, copy_size) : NULL;
    if (copy_size && !to->params) return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory");
    if (to->params) memcpy(to->params, params, params_size);
    to->call = (ingot_call){.in = to->args,
                            .out = to->args + in_count,
                            .in_count = in_count,
                            .out_count = out_count,
                            .params = to->params,
                            .workspace = workspace,
                            .workspace_size = workspace_size,
                            .grid = grid};
    const char *reason = family->check ? family->check(&to->call) : NULL;
    if (reason) {
        free(to->params);
        return ingot_fail(error, INGOT_ERR_STEP, INGOT_NO_OFFSET, "kernel %.80s: %s", name, reason);
    }
    return INGOT_OK;
}

ingot_status ingot_direct_check(const char *name, const ingot_direct_operand *operands, uint32_t in_count,
                                uint32_t out_count, const void *params, uint64_t params_size, uint64_t workspace_size,
                                const uint32_t *launch, ingot_error *error) {
    ingot_clear(error);
    const ingot_kernel *kernel = ingot_kernel_find(launch ? INGOT_BACKEND_CUDA : INGOT_BACKEND_CPU, name);
    if (!kernel) return ingot_fail(error, INGOT_ERR_KERNEL, INGOT_NO_OFFSET, "no kernel is called %.80s", name);
    ingot_grid grid = {{1, 1, 1}, {1, 1, 1}, 0, 0};
    if (launch) {
        memcpy(grid.grid, launch, sizeof grid.grid);
        memcpy(grid.block, launch + 3, sizeof grid.block);
        grid.shared_bytes = launch[6];
        grid.counters = launch[7];
    }
    direct_call described;
    ingot_status status = describe(name, kernel->family, operands, in_count, out_count, params, params_size, NULL,
                                   workspace_size, launch ? &grid : NULL, &described, error);
    if (!status) free(described.params);
    return status;
}

ingot_status ingot_direct_run(const char *name, const char *isa_name, const ingot_direct_operand *operands,
                              uint32_t in_count, uint32_t out_count, const void *params, uint64_t params_size,
                              void *workspace, uint64_t workspace_size, uint32_t splits, ingot_error *error) {
    ingot_clear(error);
    const ingot_kernel *kernel = ingot_kernel_find(INGOT_BACKEND_CPU, name);
    if (!kernel) return ingot_fail(error, INGOT_ERR_KERNEL, INGOT_NO_OFFSET, "no kernel is called %.80s", name);
    const ingot_family *family = kernel->family;
    ingot_run_fn run = ingot_kernel_select(kernel, ingot_isa_allowed(NULL), NULL);
    if (isa_name) {
        ingot_isa isa = ingot_isa_from_name(isa_name);
        if (isa == INGOT_ISA_COUNT || !ingot_kernel_run(kernel, isa) || !ingot_isa_available(isa))
            return ingot_fail(error, INGOT_ERR_ISA, INGOT_NO_OFFSET,
                              "kernel %.80s has no %.40s, or the processor lacks it", name, isa_name);
        run = ingot_kernel_run(kernel, isa);
    }
    direct_call described;
    ingot_status status = describe(name, family, operands, in_count, out_count, params, params_size, workspace,
                                   workspace_size, NULL, &described, error);
    if (status) return status;
    ingot_call call = described.call;
    uint64_t state_size = ingot_align(family->state_size ? family->state_size(&call) : 0, 64);
    uint64_t scratch_size = ingot_align(family->scratch_size ? family->scratch_size(&call) : 0, 64);
    void *state = state_size ? aligned_alloc(64, state_size) : NULL;
    void *scratch = scratch_size ? aligned_alloc(64, scratch_size) : NULL;
    if ((state_size && !state) || (scratch_size && !scratch)) {
        status = ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory");
    } else {
        ingot_fpenv mode = ingot_fpenv_enter();
        call.state = state;
        if (family->prepare) family->prepare(&call);
        uint32_t units = family->units ? family->units(&call) : 1;
        if (splits == 0) splits = 1;
        for (uint32_t t = 0; t < splits && !status; t++) {
            uint32_t begin = (uint32_t)((uint64_t)units * t / splits),
                     end = (uint32_t)((uint64_t)units * (t + 1) / splits);
            if (begin < end && run(&call, begin, end, scratch) != INGOT_KERNEL_OK)
                status = ingot_fail(error, INGOT_ERR_INDEX, INGOT_NO_OFFSET,
                                    "kernel %.80s: an index in the data is out of "
                                    "range",
                                    name);
        }
        ingot_fpenv_leave(mode);
    }
    free(state), free(scratch), free(described.params);
    return status;
}

static void tell(const ingot_arg *arg, ingot_direct_operand *operand) {
    *operand = (ingot_direct_operand){
        .data = arg->data, .pitch = arg->pitch, .dtype = arg->dtype, .rank = arg->rank, .storage = arg->storage};
    memcpy(operand->dims, arg->dims, sizeof operand->dims);
}

ingot_status ingot_direct_step(ingot_context *c, uint32_t index, ingot_direct_operand *results, uint32_t *count,
                               ingot_error *error) {
    ingot_clear(error);
    if (index >= c->step_count) return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "no step %u", index);
    if (c->cuda)
        return ingot_fail(error, INGOT_ERR_UNSUPPORTED, INGOT_NO_OFFSET, "steps of a CUDA program run together alone");
    if (c->shape_pending || c->stale) return ingot_context_not_ready(c, error);
    const ingot_context_step *step = &c->steps[index];
    ingot_fpenv mode = ingot_fpenv_enter();
    int failed = step->run(&step->call, 0, step->units, c->scratch) != INGOT_KERNEL_OK;
    ingot_fpenv_leave(mode);
    if (failed)
        return ingot_fail(error, INGOT_ERR_INDEX, INGOT_NO_OFFSET,
                          "step %u (%.80s): an index in the data is out of range", index,
                          ingot_file_string(&c->engine->file, c->program->steps[index].record->name));
    *count = step->call.out_count;
    for (uint32_t i = 0; i < *count; i++) tell(&step->call.out[i], &results[i]);
    return INGOT_OK;
}

int ingot_direct_kernel_at(uint32_t index, ingot_direct_kernel *out) {
    const ingot_kernel *kernel = ingot_kernel_at(index);
    if (!kernel) return 0;
    *out = (ingot_direct_kernel){.name = kernel->name,
                                 .abi = kernel->abi,
                                 .params_size = kernel->family->params_size,
                                 .flags = kernel->family->flags,
                                 .inplace = kernel->family->inplace,
                                 .backend = kernel->backend,
                                 .maps = kernel->family->maps};
    for (uint32_t i = 0; i < INGOT_ISA_COUNT; i++)
        if (ingot_kernel_run(kernel, (ingot_isa)i)) out->isas |= 1u << i;
    return 1;
}

uint32_t ingot_direct_isas(void) { return ingot_isa_allowed(NULL); }

const char *ingot_direct_isa_name(uint32_t isa) {
    return isa < INGOT_ISA_COUNT ? ingot_isa_name((ingot_isa)isa) : NULL;
}

uint32_t ingot_direct_crc32c(uint32_t crc, const void *data, size_t size) { return ingot_crc32c(crc, data, size); }

void ingot_direct_fill(void *data, uint32_t dtype, uint64_t bytes, uint64_t seed) {
    ingot_fill_random(data, dtype, bytes, seed);
}

void ingot_direct_sha256(const void *data, size_t size, uint8_t *digest) { ingot_sha256(data, size, digest); }

const void *ingot_direct_engine_bytes(const ingot_engine *engine, uint64_t *size) {
    *size = engine->file.size;
    return engine->file.bytes;
}
