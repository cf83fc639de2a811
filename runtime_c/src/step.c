/* One step against the kernel contract: first what every kernel may rely on, then the kernel's own check. */
#include <stdlib.h>
#include <string.h>

#include "cuda_call.h"
#include "internal.h"

void ingot_fill_arg(const ingot_tensor *tensor, const ingot_buffer *buffer, ingot_arg *arg) {
    memset(arg, 0, sizeof *arg);
    for (uint32_t d = 0; d < INGOT_MAX_RANK; d++) arg->dims[d] = 1;
    arg->pitch = arg->count = 1;
    arg->dtype = INGOT_DTYPE_NONE;
    if (!tensor) return;
    memcpy(arg->dims, tensor->dims, sizeof arg->dims);
    arg->pitch = tensor->pitch;
    for (uint32_t d = 0; d < tensor->rank; d++) arg->count *= tensor->dims[d];
    arg->dtype = tensor->dtype;
    arg->rank = tensor->rank;
    uint32_t storage = buffer->storage == INGOT_STORAGE_GENERATED ? INGOT_STORAGE_CONSTANT : buffer->storage;
    arg->storage = (uint8_t)storage;
}

/* A launch record holds what a kernel's check sees of it. */
_Static_assert(offsetof(ingot_launch, block) - offsetof(ingot_launch, grid) == offsetof(ingot_grid, block) &&
                   offsetof(ingot_launch, shared_bytes) - offsetof(ingot_launch, grid) ==
                       offsetof(ingot_grid, shared_bytes) &&
                   offsetof(ingot_launch, counters) - offsetof(ingot_launch, grid) == offsetof(ingot_grid, counters),
               "ingot_grid is a part of ingot_launch");

static const uint64_t MAX_EXTRA = (uint64_t)1 << 40;

/* The memory an operand occupies: which block, and rows of bytes in it. */
typedef struct span {
    uint32_t block; /* arena, constants and state are one block each; a bound buffer is one of its own */
    uint64_t begin, end;
    uint64_t pitch, row; /* bytes from row to row, bytes of a row */
    uint32_t buffer;
} span;

static span operand_span(const ingot_tensor *t, const ingot_buffer *b, const ingot_arg *arg) {
    uint64_t bits = ingot_dtype_bits(t->dtype), bytes = ingot_view_bytes(t->dtype, t->rank, arg->dims, arg->pitch);
    int bound = b->storage == INGOT_STORAGE_INPUT || b->storage == INGOT_STORAGE_OUTPUT;
    uint64_t begin = b->offset + t->offset;
    return (span){bound ? INGOT_STORAGE_COUNT + t->buffer : b->storage,
                  begin,
                  begin + bytes,
                  (uint64_t)arg->pitch * bits / 8,
                  (uint64_t)(t->rank ? arg->dims[t->rank - 1] : 1) * bits / 8,
                  t->buffer};
}

/* Whether two spans share a byte. Rows of one pitch that keep to columns of their own do not. */
static int spans_overlap(const span *a, const span *b) {
    if (a->block != b->block || a->begin >= b->end || b->begin >= a->end) return 0;
    if (a->pitch == b->pitch && ingot_rows_apart(a->begin, a->row, b->begin, b->row, a->pitch)) return 0;
    return 1;
}

uint32_t ingot_cuda_block_size(uint32_t operands, const ingot_family *family) {
    uint64_t head = ingot_align(operands * sizeof(ingot_cuda_arg) + sizeof(ingot_cuda_tail), 16);
    head += ingot_align(family->params_size ? family->params_size : 1, 16); /* C++ has no empty structs */
    if (family->maps) head = ingot_align(head, INGOT_CUDA_MAP_ALIGN) + family->maps * INGOT_CUDA_MAP_BYTES;
    return (uint32_t)head;
}

/* What CUDA kernels may rely on beside: extents and counts are 32 bits wide there, and what a launch hands over is
 * limited. */
static const char *check_cuda(const ingot_call *call, const ingot_family *family) {
    for (uint32_t k = 0; k < call->in_count + call->out_count; k++) {
        const ingot_arg *arg = &call->in[k]; /* outputs follow */
        int64_t elements = arg->pitch;
        for (uint32_t d = 0; d < arg->rank; d++)
            if (arg->dims[d] > INT32_MAX) return "an extent is too large for CUDA";
        for (uint32_t d = 0; d + 1 < arg->rank; d++)
            if (__builtin_mul_overflow(elements, arg->dims[d], &elements)) return "an operand is too large for CUDA";
        if (arg->count > INT32_MAX || elements > INT32_MAX) return "an operand is too large for CUDA";
    }
    if (ingot_cuda_block_size(call->in_count + call->out_count, family) > INGOT_CUDA_MAX_BLOCK)
        return "it has too many operands or parameters for a launch";
    for (uint32_t k = 0; k < family->maps; k++) {
        const ingot_arg *arg = &call->in[k];
        const int64_t size = ingot_dtype_bits(arg->dtype) / 8;
        if (k >= call->in_count || arg->rank == 0 || (size != 1 && size != 2 && size != 4) ||
            arg->pitch * size % INGOT_CUDA_MAPPED_ALIGN)
            return "tensor maps take rows that are multiples of 16 bytes apart";
    }
    return NULL;
}

ingot_status ingot_check_step(const ingot_file *f, const ingot_program *p, const ingot_bound_step *step,
                              const ingot_call *call, uint32_t index, ingot_error *error) {
    const ingot_family *family = step->kernel->family;
    const ingot_step *s = step->record;
    uint64_t at = ingot_record_offset(&f->tables[INGOT_SECTION_STEPS], p->steps.first + index);
    const char *name = ingot_file_string(f, s->name);
    if (s->in_count < family->in_min || s->in_count > family->in_max || s->out_count < family->out_min ||
        s->out_count > family->out_max)
        return ingot_fail(error, INGOT_ERR_STEP, at,
                          "step %u (%.60s): kernel %s does not take %u inputs and %u outputs", index, name,
                          step->kernel->name, s->in_count, s->out_count);

    span spans[INGOT_MAX_OPERANDS + 1];
    uint32_t operands[INGOT_MAX_OPERANDS + 1]; /* which operand each span is: absent ones have none */
    uint32_t count = 0, total = (uint32_t)s->in_count + s->out_count;
    for (uint32_t k = 0; k < total + 1; k++) {
        uint32_t id = k < total ? ingot_get_operand(f, s, k) : s->workspace;
        if (id == INGOT_NO_INDEX) continue;
        const ingot_tensor *t = ingot_get_tensor(f, p, id);
        const ingot_buffer *b = ingot_get_buffer(f, p, t->buffer);
        ingot_arg workspace;
        ingot_fill_arg(t, b, &workspace);
        const ingot_arg *arg = k < s->in_count ? &call->in[k] : k < total ? &call->out[k - s->in_count] : &workspace;
        if (ingot_dtype_bits(arg->dtype) % 8)
            return ingot_fail(error, INGOT_ERR_STEP, at, "step %u (%.60s): no kernel takes %s", index, name,
                              ingot_dtype_name(arg->dtype));
        if (!(family->flags & INGOT_KERNEL_PITCHED) && arg->rank && arg->pitch != arg->dims[arg->rank - 1])
            return ingot_fail(error, INGOT_ERR_STEP, at, "step %u (%.60s): kernel %s takes dense operands alone", index,
                              name, step->kernel->name);
        if ((family->flags & INGOT_KERNEL_OVERREADS) && k < s->in_count && p->role == INGOT_ROLE_RUN &&
            (arg->storage == INGOT_STORAGE_INPUT || arg->storage == INGOT_STORAGE_OUTPUT))
            return ingot_fail(error, INGOT_ERR_STEP, at,
                              "step %u (%.60s): kernel %s reads past its inputs and so takes "
                              "none that the caller binds",
                              index, name, step->kernel->name);
        if (call->grid && k < family->maps && t->offset % INGOT_CUDA_MAPPED_ALIGN)
            return ingot_fail(error, INGOT_ERR_STEP, at,
                              "step %u (%.60s): operand %u of kernel %s must begin at a multiple of %d bytes", index,
                              name, k, step->kernel->name, INGOT_CUDA_MAPPED_ALIGN);
        spans[count] = operand_span(t, b, arg);
        operands[count] = k;
        for (uint32_t j = 0; j < count && k >= s->in_count; j++) {
            if (!spans_overlap(&spans[j], &spans[count])) continue;
            uint32_t i = operands[j];
            int inplace = k == s->in_count && k < total && i < s->in_count && i < 32 && (family->inplace >> i & 1) &&
                          spans[j].begin == spans[count].begin && spans[j].end == spans[count].end &&
                          spans[j].pitch == spans[count].pitch && spans[j].row == spans[count].row &&
                          call->in[i].count == arg->count;
            if (!inplace)
                return ingot_fail(error, INGOT_ERR_PLAN, at, "step %u (%.60s) writes over its own operand %u", index,
                                  name, i);
        }
        count++;
    }
    const char *reason = call->grid ? check_cuda(call, family) : NULL;
    if (!reason && family->check) reason = family->check(call);
    if (reason)
        return ingot_fail(error, INGOT_ERR_STEP, at, "step %u (%.60s): kernel %s: %s", index, name, step->kernel->name,
                          reason);
    if (call->grid) return INGOT_OK; /* what the CPU's kernels of the family need is of no interest */
    uint64_t state = family->state_size ? family->state_size(call) : 0;
    uint64_t scratch = family->scratch_size ? family->scratch_size(call) : 0;
    if (state > MAX_EXTRA || scratch > MAX_EXTRA) /* the sums that lay a context out cannot overflow */
        return ingot_fail(error, INGOT_ERR_STEP, at,
                          "step %u (%.60s): kernel %s would need %llu bytes beside its operands", index, name,
                          step->kernel->name, (unsigned long long)(state > scratch ? state : scratch));
    return INGOT_OK;
}

void ingot_fill_call(const ingot_file *f, const ingot_program *p, const ingot_bound_step *step, ingot_arg *args,
                     ingot_call *call) {
    const ingot_step *s = step->record;
    uint32_t total = (uint32_t)s->in_count + s->out_count;
    for (uint32_t k = 0; k < total; k++) {
        uint32_t id = ingot_get_operand(f, s, k);
        const ingot_tensor *t = id == INGOT_NO_INDEX ? NULL : ingot_get_tensor(f, p, id);
        const ingot_buffer *b = t ? ingot_get_buffer(f, p, t->buffer) : NULL;
        ingot_fill_arg(t, b, &args[k]);
        if (b && b->storage == INGOT_STORAGE_CONSTANT)
            args[k].data = (void *)(uintptr_t)(f->tables[INGOT_SECTION_CONSTANTS].base + b->offset + t->offset);
    }
    memset(call, 0, sizeof *call);
    call->in = args;
    call->out = args + s->in_count;
    call->in_count = s->in_count;
    call->out_count = s->out_count;
    call->params = step->params;
    if (s->launch != INGOT_NO_INDEX) call->grid = (const ingot_grid *)(const void *)ingot_get_launch(f, s)->grid;
    if (s->workspace != INGOT_NO_INDEX) call->workspace_size = (uint64_t)ingot_get_tensor(f, p, s->workspace)->dims[0];
}

ingot_status ingot_verify_steps(const ingot_file *f, const ingot_bound_program *bound, ingot_error *error) {
    ingot_arg args[INGOT_MAX_OPERANDS];
    ingot_call call;
    for (uint32_t i = 0; i < bound->record->steps.count; i++) {
        ingot_fill_call(f, bound->record, &bound->steps[i], args, &call);
        ingot_status status = ingot_check_step(f, bound->record, &bound->steps[i], &call, i, error);
        if (status) return status;
    }
    return INGOT_OK;
}
