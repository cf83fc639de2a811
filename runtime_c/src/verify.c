/* Checks every record of an engine against the rules of ingot_format.h: counts, indices, ranks, size products,
 * offsets, enums. No recursion, no arithmetic that can overflow, no trust in anything not yet checked. Whether a
 * step's kernel takes its operands is step.c's question; whether tensors may share memory is sharing.c's. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
    MAX_VARIANTS = 64,
    MAX_PROGRAMS = 1 << 14,
    MAX_STEPS = 1 << 16,
    MAX_BUFFERS = 1 << 16,
    MAX_TENSORS = 1 << 20,
    MAX_IO = 1 << 10,
    MAX_CODE = 1 << 20,
    MAX_REGISTERS = 1 << 12,
    MAX_EDGE_STEPS = 1 << 14,
    MAX_EMPTY = 1 << 24 /* elements of an empty tensor, were its extents of 0 extents of 1 */
};
static const uint64_t MAX_BYTES = (uint64_t)1 << 47; /* larger sizes are nonsense, and sums of a few cannot overflow */

static const struct {
    const char *name;
    uint32_t bits;
} dtypes[INGOT_DTYPE_COUNT] = {
    [INGOT_F32] = {"f32", 32},      [INGOT_F64] = {"f64", 64},      [INGOT_F16] = {"f16", 16},
    [INGOT_BF16] = {"bf16", 16},    [INGOT_I8] = {"i8", 8},         [INGOT_I16] = {"i16", 16},
    [INGOT_I32] = {"i32", 32},      [INGOT_I64] = {"i64", 64},      [INGOT_U8] = {"u8", 8},
    [INGOT_U16] = {"u16", 16},      [INGOT_U32] = {"u32", 32},      [INGOT_U64] = {"u64", 64},
    [INGOT_BOOL] = {"bool", 8},     [INGOT_F8E4M3] = {"f8e4m3", 8}, [INGOT_F8E5M2] = {"f8e5m2", 8},
    [INGOT_F4E2M1] = {"f4e2m1", 4}, [INGOT_I4] = {"i4", 4},         [INGOT_U4] = {"u4", 4},
};

const char *ingot_dtype_name(uint32_t dtype) {
    return dtype < INGOT_DTYPE_COUNT && dtypes[dtype].name ? dtypes[dtype].name : "none";
}

uint32_t ingot_dtype_bits(uint32_t dtype) { return dtype < INGOT_DTYPE_COUNT ? dtypes[dtype].bits : 0; }

uint64_t ingot_view_bytes(uint32_t dtype, uint32_t rank, const int64_t *dims, int64_t pitch) {
    uint64_t rows = 1, last = rank ? (uint64_t)dims[rank - 1] : 1, elements, total;
    for (uint32_t i = 0; i + 1 < rank; i++)
        if (__builtin_mul_overflow(rows, (uint64_t)dims[i], &rows)) return UINT64_MAX;
    if (rows == 0 || last == 0) return 0;
    if (__builtin_mul_overflow(rows - 1, (uint64_t)pitch, &elements) ||
        __builtin_add_overflow(elements, last, &elements) ||
        __builtin_mul_overflow(elements, (uint64_t)ingot_dtype_bits(dtype), &total) || total > UINT64_MAX - 7)
        return UINT64_MAX;
    return (total + 7) / 8;
}

static int range_ok(const ingot_range *range, const ingot_table *table) {
    return range->first <= table->count && range->count <= table->count - range->first;
}

static ingot_status check_variants(const ingot_file *f, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_VARIANTS];
    if (table->count > MAX_VARIANTS)
        return ingot_fail(error, INGOT_ERR_FORMAT, table->file_offset, "more than %d variants", MAX_VARIANTS);
    for (uint32_t i = 0; i < table->count; i++) {
        const ingot_variant *v = (const ingot_variant *)ingot_record(table, i);
        uint64_t at = ingot_record_offset(table, i);
        if (!ingot_file_string(f, v->name) || v->backend >= INGOT_BACKEND_COUNT || v->programs.count == 0 ||
            !range_ok(&v->programs, &f->tables[INGOT_SECTION_PROGRAMS]))
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "variant %u: name, backend or programs are out of range", i);
        const ingot_table *programs = &f->tables[INGOT_SECTION_PROGRAMS];
        const ingot_program *first = (const ingot_program *)ingot_record(programs, v->programs.first);
        for (uint32_t k = 1; k < v->programs.count; k++)
            if (((const ingot_program *)ingot_record(programs, v->programs.first + k))->role != first->role)
                return ingot_fail(error, INGOT_ERR_FORMAT, at, "variant %u: programs to run and candidates are mixed",
                                  i);
    }
    return INGOT_OK;
}

static ingot_status check_buffer(const ingot_file *f, const ingot_program *p, uint32_t i, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_BUFFERS];
    const ingot_buffer *b = ingot_get_buffer(f, p, i);
    uint64_t at = ingot_record_offset(table, p->buffers.first + i), room = 0;
    switch (b->storage) {
    case INGOT_STORAGE_ARENA: room = p->arena_size; break;
    case INGOT_STORAGE_CONSTANT: room = f->tables[INGOT_SECTION_CONSTANTS].size; break;
    case INGOT_STORAGE_STATE: room = p->state_size; break;
    case INGOT_STORAGE_GENERATED: room = p->generated_size; break;
    case INGOT_STORAGE_INPUT:
    case INGOT_STORAGE_OUTPUT:
        if (b->offset || b->size > MAX_BYTES)
            return ingot_fail(error, INGOT_ERR_FORMAT, at,
                              "buffer %u: an input or output has an offset, or is too large", i);
        return INGOT_OK;
    default: return ingot_fail(error, INGOT_ERR_FORMAT, at, "buffer %u: unknown storage %u", i, b->storage);
    }
    /* The tail: INGOT_TAIL_BYTES stay readable behind every element. */
    if (b->offset % 64 || room < INGOT_TAIL_BYTES || b->offset > room - INGOT_TAIL_BYTES ||
        b->size > room - INGOT_TAIL_BYTES - b->offset)
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "buffer %u does not fit its storage, or is not aligned to 64",
                          i);
    return INGOT_OK;
}

static ingot_status check_tensor(const ingot_file *f, const ingot_program *p, uint32_t i, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_TENSORS];
    const ingot_tensor *t = ingot_get_tensor(f, p, i);
    uint64_t at = ingot_record_offset(table, p->tensors.first + i);
    uint32_t bits = ingot_dtype_bits(t->dtype);
    if (!ingot_file_string(f, t->name) || bits == 0 || t->rank > INGOT_MAX_RANK || t->buffer >= p->buffers.count ||
        (t->quant != INGOT_NO_INDEX && t->quant >= f->tables[INGOT_SECTION_QUANT].count))
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "tensor %u: name, type, rank, buffer or quant is out of range",
                          i);
    /* Extents of 0 count as 1 here: then no product of some of the extents overflows in any kernel, and no loop over
     * the other axes of an empty tensor takes for ever. */
    int64_t count = 1;
    int empty = 0;
    for (uint32_t d = 0; d < INGOT_MAX_RANK; d++) {
        empty |= t->dims[d] == 0;
        if (t->dims[d] < 0 || (d >= t->rank && t->dims[d] != 1) ||
            __builtin_mul_overflow(count, t->dims[d] ? t->dims[d] : 1, &count) || (uint64_t)count > MAX_BYTES)
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "tensor %u: extent %u is out of range", i, d);
    }
    if (empty && count > MAX_EMPTY)
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "tensor %u is empty, and its other extents are out of range", i);
    int64_t last = t->rank ? t->dims[t->rank - 1] : 1;
    if (t->pitch < last || (uint64_t)t->pitch > MAX_BYTES || (t->rank == 0 && t->pitch != 1))
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "tensor %u: its pitch is out of range", i);
    const ingot_buffer *b = ingot_get_buffer(f, p, t->buffer);
    uint64_t bytes = ingot_view_bytes(t->dtype, t->rank, t->dims, t->pitch);
    if (bytes > MAX_BYTES || t->offset > b->size || bytes > b->size - t->offset ||
        t->offset % (bits < 8 ? 1 : bits / 8))
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "tensor %u reaches outside its buffer, or is not aligned", i);
    if ((b->storage == INGOT_STORAGE_CONSTANT || b->storage == INGOT_STORAGE_GENERATED) && t->offset % 64)
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "tensor %u is a constant and not aligned to 64", i);
    return INGOT_OK;
}

static ingot_status check_io(const ingot_file *f, const ingot_program *p, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_IO];
    uint32_t outputs = 0;
    for (uint32_t i = 0; i < p->io.count; i++) {
        const ingot_io *io = ingot_get_io(f, p, i);
        uint64_t at = ingot_record_offset(table, p->io.first + i);
        if (!ingot_file_string(f, io->name) || io->tensor >= p->tensors.count || io->is_output > 1)
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "io %u: name or tensor is out of range", i);
        outputs += io->is_output;
        if (outputs && !io->is_output)
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "io %u: an input stands behind an output", i);
        const ingot_tensor *t = ingot_get_tensor(f, p, io->tensor);
        const ingot_buffer *b = ingot_get_buffer(f, p, t->buffer);
        uint32_t storage = io->is_output ? INGOT_STORAGE_OUTPUT : INGOT_STORAGE_INPUT;
        int64_t last = t->rank ? t->dims[t->rank - 1] : 1;
        if (b->storage != storage || t->offset || t->pitch != last ||
            ingot_view_bytes(t->dtype, t->rank, t->dims, t->pitch) != b->size)
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "io %u: its tensor is not the whole of a bound buffer", i);
        for (uint32_t d = 0; d < INGOT_MAX_RANK; d++)
            if (io->dims_min[d] < 0 || io->dims_min[d] > io->dims_max[d] || io->dims_max[d] != t->dims[d])
                return ingot_fail(error, INGOT_ERR_FORMAT, at, "io %u: the range of extent %u is wrong", i, d);
        for (uint32_t j = 0; j < i; j++)
            if (ingot_get_tensor(f, p, ingot_get_io(f, p, j)->tensor)->buffer == t->buffer)
                return ingot_fail(error, INGOT_ERR_FORMAT, at, "io %u and %u are the same buffer", i, j);
        /* A caller aligns to the element of the io, so no view may need more. */
        for (uint32_t k = 0; k < p->tensors.count; k++) {
            const ingot_tensor *view = ingot_get_tensor(f, p, k);
            if (view->buffer == t->buffer && ingot_dtype_bits(view->dtype) > ingot_dtype_bits(t->dtype))
                return ingot_fail(error, INGOT_ERR_FORMAT, at, "tensor %u views io %u as elements of another size", k,
                                  i);
        }
    }
    /* Every bound buffer belongs to an io, or nobody could bind it. */
    uint32_t bound = 0;
    for (uint32_t i = 0; i < p->buffers.count; i++) {
        uint32_t storage = ingot_get_buffer(f, p, i)->storage;
        bound += storage == INGOT_STORAGE_INPUT || storage == INGOT_STORAGE_OUTPUT;
    }
    if (bound != p->io.count)
        return ingot_fail(error, INGOT_ERR_FORMAT, table->file_offset, "%u bound buffers for %u inputs and outputs",
                          bound, p->io.count);
    return INGOT_OK;
}

static ingot_status check_step(const ingot_file *f, const ingot_program *p, uint32_t i, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_STEPS];
    const ingot_table *operands = &f->tables[INGOT_SECTION_OPERANDS], *params = &f->tables[INGOT_SECTION_PARAMS];
    const ingot_step *s = ingot_get_step(f, p, i);
    uint64_t at = ingot_record_offset(table, p->steps.first + i);
    uint32_t count = (uint32_t)s->in_count + s->out_count;
    if (!ingot_file_string(f, s->name) || s->kernel >= f->tables[INGOT_SECTION_KERNELS].count)
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "step %u: name or kernel is out of range", i);
    if (count > INGOT_MAX_OPERANDS || s->operands > operands->count || count > operands->count - s->operands)
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "step %u: its operands are out of range", i);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t tensor = ingot_get_operand(f, s, k);
        if (tensor != INGOT_NO_INDEX && tensor >= p->tensors.count)
            return ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(operands, s->operands + k),
                              "step %u: operand %u is no tensor", i, k);
    }
    if (s->workspace != INGOT_NO_INDEX) {
        if (s->workspace >= p->tensors.count)
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "step %u: its workspace is no tensor", i);
        const ingot_tensor *t = ingot_get_tensor(f, p, s->workspace);
        if (t->dtype != INGOT_U8 || t->rank != 1 || t->offset ||
            ingot_get_buffer(f, p, t->buffer)->storage != INGOT_STORAGE_ARENA)
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "step %u: its workspace is no row of arena bytes", i);
    }
    if (s->params % 16 || s->params > params->size || s->params_size > params->size - s->params)
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "step %u: its parameters are out of range", i);
    if (s->launch != INGOT_NO_INDEX && s->launch >= f->tables[INGOT_SECTION_LAUNCHES].count)
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "step %u: its launch is out of range", i);
    for (uint32_t k = 0; k < s->out_count; k++) {
        uint32_t tensor = ingot_get_operand(f, s, s->in_count + k);
        if (tensor == INGOT_NO_INDEX) continue;
        uint32_t storage = ingot_get_buffer(f, p, ingot_get_tensor(f, p, tensor)->buffer)->storage;
        if (storage == INGOT_STORAGE_CONSTANT || storage == INGOT_STORAGE_INPUT || storage == INGOT_STORAGE_GENERATED)
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "step %u writes a constant or an input", i);
    }
    return INGOT_OK;
}

static ingot_status check_edges(const ingot_file *f, const ingot_program *p, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_EDGES];
    for (uint32_t i = 0; i < p->edges.count; i++) {
        const ingot_edge *e = (const ingot_edge *)ingot_record(table, p->edges.first + i);
        if (e->from >= e->to || e->to >= p->steps.count)
            return ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(table, p->edges.first + i),
                              "edge %u does not lead forward", i);
    }
    return INGOT_OK;
}

static ingot_status check_shape_code(const ingot_file *f, const ingot_program *p, ingot_error *error) {
    const ingot_table *code = &f->tables[INGOT_SECTION_SHAPE_CODE], *patches = &f->tables[INGOT_SECTION_PATCHES];
    uint8_t written[MAX_REGISTERS / 8] = {0};
    for (uint32_t i = 0; i < p->shape_code.count; i++) {
        const ingot_shape_insn *s = (const ingot_shape_insn *)ingot_record(code, p->shape_code.first + i);
        int ok = s->op < INGOT_SHAPE_OP_COUNT && s->dst < p->register_count;
        if (ok && s->op == INGOT_SHAPE_DIM)
            ok = s->a < p->io.count && !ingot_get_io(f, p, s->a)->is_output && s->b < INGOT_MAX_RANK;
        else if (ok && s->op != INGOT_SHAPE_CONST)
            ok = s->a < p->register_count && s->b < p->register_count && written[s->a / 8] >> (s->a % 8) & 1 &&
                 written[s->b / 8] >> (s->b % 8) & 1;
        if (!ok)
            return ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(code, p->shape_code.first + i),
                              "shape instruction %u is malformed or reads what was not written", i);
        written[s->dst / 8] |= (uint8_t)(1u << (s->dst % 8));
    }
    for (uint32_t i = 0; i < p->patches.count; i++) {
        const ingot_patch *s = (const ingot_patch *)ingot_record(patches, p->patches.first + i);
        int ok = s->reg < p->register_count && written[s->reg / 8] >> (s->reg % 8) & 1;
        if (ok && s->kind == INGOT_PATCH_DIM) {
            ok = s->index < p->tensors.count && s->field < ingot_get_tensor(f, p, s->index)->rank;
        } else if (ok && (s->kind == INGOT_PATCH_PARAM_I32 || s->kind == INGOT_PATCH_PARAM_I64)) {
            uint32_t width = s->kind == INGOT_PATCH_PARAM_I32 ? 4 : 8;
            ok = s->index < p->steps.count && s->field % width == 0 &&
                 ingot_get_step(f, p, s->index)->params_size >= width &&
                 s->field <= ingot_get_step(f, p, s->index)->params_size - width;
        } else if (ok && s->kind == INGOT_PATCH_LAUNCH) {
            ok = s->index < p->steps.count && ingot_get_step(f, p, s->index)->launch != INGOT_NO_INDEX &&
                 s->field < sizeof(ingot_launch) / 4;
        } else {
            ok = 0;
        }
        if (!ok)
            return ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(patches, p->patches.first + i),
                              "patch %u is malformed", i);
    }
    return INGOT_OK;
}

static ingot_status check_program(const ingot_file *f, uint32_t index, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_PROGRAMS];
    const ingot_program *p = (const ingot_program *)ingot_record(table, index);
    uint64_t at = ingot_record_offset(table, index);
    if (!ingot_file_string(f, p->name) || p->role > INGOT_ROLE_CANDIDATE ||
        p->flags & ~(uint32_t)(INGOT_PROGRAM_SERIAL | INGOT_PROGRAM_OVERLAPS) || p->register_count > MAX_REGISTERS)
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "program %u: name, role, flags or registers are out of range",
                          index);
    const struct {
        const ingot_range *range;
        uint32_t kind, limit;
    } ranges[] = {
        {&p->buffers, INGOT_SECTION_BUFFERS, MAX_BUFFERS},
        {&p->tensors, INGOT_SECTION_TENSORS, MAX_TENSORS},
        {&p->io, INGOT_SECTION_IO, MAX_IO},
        {&p->steps, INGOT_SECTION_STEPS, p->flags & INGOT_PROGRAM_SERIAL ? MAX_STEPS : MAX_EDGE_STEPS},
        {&p->edges, INGOT_SECTION_EDGES, UINT32_MAX},
        {&p->shape_code, INGOT_SECTION_SHAPE_CODE, MAX_CODE},
        {&p->patches, INGOT_SECTION_PATCHES, MAX_CODE},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (!range_ok(ranges[i].range, &f->tables[ranges[i].kind]) || ranges[i].range->count > ranges[i].limit)
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "program %u: a range of section kind %u is out of range",
                              index, ranges[i].kind);
    if (p->arena_size % 64 || p->arena_size > MAX_BYTES || p->state_size % 64 || p->state_size > MAX_BYTES ||
        p->generated_size % 64 || p->generated_size > MAX_BYTES)
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "program %u: arena, state or generated size is out of range",
                          index);
    ingot_status status = INGOT_OK;
    for (uint32_t i = 0; !status && i < p->buffers.count; i++) status = check_buffer(f, p, i, error);
    for (uint32_t i = 0; !status && i < p->tensors.count; i++) status = check_tensor(f, p, i, error);
    if (!status) status = check_io(f, p, error);
    for (uint32_t i = 0; !status && i < p->steps.count; i++) status = check_step(f, p, i, error);
    if (!status) status = ingot_verify_backend(f, p, error);
    if (!status) status = check_edges(f, p, error);
    if (!status) status = check_shape_code(f, p, error);
    return status;
}

static ingot_status check_kernels(const ingot_file *f, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_KERNELS];
    for (uint32_t i = 0; i < table->count; i++)
        if (!ingot_file_string(f, ((const ingot_kernel_ref *)ingot_record(table, i))->name))
            return ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(table, i), "kernel %u has no name", i);
    return INGOT_OK;
}

static ingot_status check_quant(const ingot_file *f, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_QUANT];
    uint64_t constants = f->tables[INGOT_SECTION_CONSTANTS].size;
    for (uint32_t i = 0; i < table->count; i++) {
        const ingot_quant *q = (const ingot_quant *)ingot_record(table, i);
        if (q->kind > INGOT_QUANT_BLOCK || q->axis < 0 || q->axis >= INGOT_MAX_RANK || q->scales % 4 ||
            q->scales > constants || q->count > (constants - q->scales) / 4 ||
            (q->kind == INGOT_QUANT_BLOCK && !q->block))
            return ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(table, i), "quant %u is out of range", i);
    }
    return INGOT_OK;
}

static ingot_status check_fills(const ingot_file *f, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_FILLS];
    for (uint32_t i = 0; i < table->count; i++) {
        const ingot_fill *fill = (const ingot_fill *)ingot_record(table, i);
        int ok = fill->program < f->tables[INGOT_SECTION_PROGRAMS].count && fill->kind < INGOT_FILL_KIND_COUNT;
        if (ok) {
            const ingot_program *p =
                (const ingot_program *)ingot_record(&f->tables[INGOT_SECTION_PROGRAMS], fill->program);
            ok = fill->tensor < p->tensors.count;
            uint32_t storage = ok ? ingot_get_buffer(f, p, ingot_get_tensor(f, p, fill->tensor)->buffer)->storage
                                  : INGOT_STORAGE_COUNT;
            ok = storage == INGOT_STORAGE_STATE || storage == INGOT_STORAGE_GENERATED;
        }
        if (!ok)
            return ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(table, i), "fill %u is out of range", i);
    }
    return INGOT_OK;
}

/* The io and its size are checked again against the program that runs: here, that the data lie where they say. */
static ingot_status check_selftest(const ingot_file *f, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_SELFTEST];
    uint64_t constants = f->tables[INGOT_SECTION_CONSTANTS].size;
    for (uint32_t i = 0; i < table->count; i++) {
        const ingot_selftest *s = (const ingot_selftest *)ingot_record(table, i);
        if (s->mode > INGOT_SELFTEST_TOLERANCE || s->data % 64 || s->data > constants ||
            s->size > constants - s->data || !(s->relative >= 0) || !(s->absolute >= 0))
            return ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(table, i),
                              "self-test record %u is out of range", i);
    }
    return INGOT_OK;
}

ingot_status ingot_verify_records(const ingot_file *f, ingot_error *error) {
    ingot_status status = check_variants(f, error);
    const ingot_table *programs = &f->tables[INGOT_SECTION_PROGRAMS];
    if (!status && programs->count > MAX_PROGRAMS)
        status = ingot_fail(error, INGOT_ERR_FORMAT, programs->file_offset, "more than %d programs", MAX_PROGRAMS);
    if (!status) status = check_kernels(f, error);
    if (!status) status = check_quant(f, error);
    if (!status) status = ingot_verify_launches(f, error);
    for (uint32_t i = 0; !status && i < programs->count; i++) status = check_program(f, i, error);
    if (!status) status = ingot_verify_variants(f, error);
    if (!status) status = check_fills(f, error);
    if (!status) status = check_selftest(f, error);
    return status;
}
