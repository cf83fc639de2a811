/* Shapes of a context: from the inputs' extents through the shape program to every step. */
#include <string.h>

#include "context.h"
#include "fpenv.h"

static ingot_status patch(ingot_context *c, ingot_error *error) {
    const ingot_file *f = &c->engine->file;
    const ingot_program *p = c->program->record;
    const ingot_table *table = &f->tables[INGOT_SECTION_PATCHES];
    ingot_status status = ingot_shape_run(f, p, c->io_dims, c->registers, error);
    for (uint32_t i = 0; !status && i < p->patches.count; i++) {
        const ingot_patch *s = (const ingot_patch *)ingot_record(table, p->patches.first + i);
        uint64_t at = ingot_record_offset(table, p->patches.first + i);
        int64_t value = c->registers[s->reg];
        if (s->kind == INGOT_PATCH_DIM) {
            const ingot_tensor *largest = ingot_get_tensor(f, p, s->index);
            if (value < 0 || value > largest->dims[s->field])
                return ingot_fail(
                    error, INGOT_ERR_SHAPE, at, "extent %u of tensor %.60s becomes %lld, planned for %lld", s->field,
                    ingot_file_string(f, largest->name), (long long)value, (long long)largest->dims[s->field]);
            ingot_tensor *t = &c->tensors[s->index];
            t->dims[s->field] = value;
            /* Dense tensors stay dense; a view of a wider one keeps the pitch of that one. */
            if (s->field + 1u == t->rank && largest->pitch == largest->dims[s->field]) t->pitch = value;
        } else if (s->kind != INGOT_PATCH_LAUNCH) {
            uint8_t *params = (uint8_t *)(uintptr_t)c->steps[s->index].call.params;
            if (s->kind == INGOT_PATCH_PARAM_I64) {
                memcpy(params + s->field, &value, 8);
            } else {
                int32_t narrow = (int32_t)value;
                if (narrow != value)
                    return ingot_fail(error, INGOT_ERR_SHAPE, at, "parameter of step %u becomes %lld", s->index,
                                      (long long)value);
                memcpy(params + s->field, &narrow, 4);
            }
        }
    }
    /* Last, so that no patch moves what the caller has set. */
    for (uint32_t i = 0; i < p->io.count; i++) {
        const ingot_io *io = ingot_get_io(f, p, i);
        ingot_tensor *t = &c->tensors[io->tensor];
        if (io->is_output) continue;
        memcpy(t->dims, c->io_dims + (size_t)i * INGOT_MAX_RANK, sizeof t->dims);
        t->pitch = t->rank ? t->dims[t->rank - 1] : 1;
    }
    return status;
}

/* Extents of the step's operands; their data pointers stay. */
static void refresh_args(ingot_context *c, const ingot_step *s, ingot_arg *args) {
    for (uint32_t k = 0; k < (uint32_t)s->in_count + s->out_count; k++) {
        uint32_t id = ingot_get_operand(&c->engine->file, s, k);
        if (id == INGOT_NO_INDEX) continue;
        const ingot_tensor *t = &c->tensors[id];
        memcpy(args[k].dims, t->dims, sizeof args[k].dims);
        args[k].pitch = t->pitch;
        args[k].count = 1;
        for (uint32_t d = 0; d < t->rank; d++) args[k].count *= t->dims[d];
    }
}

/* The caller's buffers have exactly the bytes of the current shape: no view may reach further. */
static ingot_status refresh_io(ingot_context *c, ingot_error *error) {
    const ingot_file *f = &c->engine->file;
    const ingot_program *p = c->program->record;
    for (uint32_t i = 0; i < p->io.count; i++) {
        const ingot_io *io = ingot_get_io(&c->engine->file, p, i);
        const ingot_tensor *t = &c->tensors[io->tensor];
        memcpy(c->io_dims + (size_t)i * INGOT_MAX_RANK, t->dims, sizeof t->dims);
        c->io_bytes[i] = ingot_view_bytes(t->dtype, t->rank, t->dims, t->pitch);
        for (uint32_t k = 0; k < p->tensors.count; k++) {
            const ingot_tensor *view = &c->tensors[k];
            if (view->buffer == t->buffer &&
                view->offset + ingot_view_bytes(view->dtype, view->rank, view->dims, view->pitch) > c->io_bytes[i])
                return ingot_fail(error, INGOT_ERR_SHAPE, INGOT_NO_OFFSET, "tensor %.60s would reach outside %.60s",
                                  ingot_file_string(f, view->name), ingot_file_string(f, io->name));
        }
    }
    return INGOT_OK;
}

ingot_status ingot_context_apply_shapes(ingot_context *c, ingot_error *error) {
    const ingot_file *f = &c->engine->file;
    const ingot_program *p = c->program->record;
    if (c->tensors) {
        ingot_status status = patch(c, error);
        if (!status) status = refresh_io(c, error);
        if (status) return status;
    }
    ingot_arg *args = c->args;
    uint8_t *state = c->kernel_state;
    for (uint32_t i = 0; i < c->step_count; i++) {
        const ingot_bound_step *bound = &c->program->steps[i];
        const ingot_family *family = bound->kernel->family;
        ingot_context_step *step = &c->steps[i];
        if (c->tensors) {
            refresh_args(c, bound->record, args);
            ingot_status status = ingot_check_step(f, p, bound, &step->call, i, error);
            if (status) return status;
            if ((family->state_size && family->state_size(&step->call) > c->kernel_state_size[i]) ||
                (family->scratch_size && family->scratch_size(&step->call) > c->scratch_stride))
                return ingot_fail(error, INGOT_ERR_SHAPE, INGOT_NO_OFFSET,
                                  "step %u needs more memory for this shape than was "
                                  "reserved for the largest",
                                  i);
        }
        step->call.state = c->kernel_state_size[i] ? state : NULL;
        state += ingot_align(c->kernel_state_size[i], 64);
        if (family->prepare) family->prepare(&step->call);
        step->units = family->units ? family->units(&step->call) : 1;
        args += bound->record->in_count + bound->record->out_count;
    }
    c->together = 0;
    for (uint32_t i = 0; i < c->step_count; i++) {
        c->steps[i].barrier = i + 1 == c->step_count || c->steps[i].units > 1 || c->steps[i + 1].units > 1;
        c->together |= c->threads > 1 && c->steps[i].units > 1;
    }
    return INGOT_OK;
}

ingot_status ingot_context_set_shape(ingot_context *c, uint32_t index, const int64_t *dims, uint32_t rank,
                                     ingot_error *error) {
    ingot_clear(error);
    if (!c || !dims || index >= c->program->record->io.count)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "set_shape: NULL, or no such input");
    const ingot_program *p = c->program->record;
    const ingot_io *io = ingot_get_io(&c->engine->file, p, index);
    const char *name = ingot_file_string(&c->engine->file, io->name);
    uint32_t own_rank = ingot_get_tensor(&c->engine->file, p, io->tensor)->rank;
    if (io->is_output)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "%.80s is an output: its shape follows", name);
    if (rank != own_rank)
        return ingot_fail(error, INGOT_ERR_SHAPE, INGOT_NO_OFFSET, "input %.80s has rank %u, not %u", name, own_rank,
                          rank);
    for (uint32_t d = 0; d < rank; d++)
        if (dims[d] < io->dims_min[d] || dims[d] > io->dims_max[d])
            return ingot_fail(error, INGOT_ERR_SHAPE, INGOT_NO_OFFSET,
                              "extent %u of input %.80s is %lld, the engine takes "
                              "%lld to %lld",
                              d, name, (long long)dims[d], (long long)io->dims_min[d], (long long)io->dims_max[d]);
    int64_t *row = c->io_dims + (size_t)index * INGOT_MAX_RANK, former[INGOT_MAX_RANK];
    if (memcmp(row, dims, rank * sizeof *dims) == 0 && !c->shape_pending) return INGOT_OK;
    memcpy(former, row, sizeof former);
    memcpy(row, dims, rank * sizeof *dims);

    /* Inputs that vary together are set one after the other: shapes that do not go together yet wait for the next
     * call, and a run refuses them. Whatever else is wrong restores the former shape. */
    int64_t *r = c->registers;
    if (ingot_shape_run(&c->engine->file, p, c->io_dims, r, NULL) == INGOT_ERR_SHAPE) {
        c->shape_pending = 1;
        return INGOT_OK;
    }
    ingot_fpenv mode = ingot_fpenv_enter();
    ingot_status status = ingot_context_apply_shapes(c, error);
    c->shape_pending = 0;
    if (status) {
        memcpy(row, former, sizeof former);
        c->shape_pending = ingot_context_apply_shapes(c, NULL) != INGOT_OK;
    }
    ingot_fpenv_leave(mode);
    ingot_context_find_stale(c);
    return status;
}

ingot_status ingot_context_shape(const ingot_context *c, uint32_t index, int64_t *dims) {
    if (!c || !dims || index >= c->program->record->io.count) return INGOT_ERR_ARGUMENT;
    memcpy(dims, c->io_dims + (size_t)index * INGOT_MAX_RANK, INGOT_MAX_RANK * sizeof *dims);
    return INGOT_OK;
}
