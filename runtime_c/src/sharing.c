/* The proof that memory is shared soundly.
 *
 * Steps are ordered by reachability: by their index in a serial program, else along edges. Then
 *  1. whoever reads a tensor comes after every step that writes bytes of it, and somebody does write it;
 *  2. no two steps write the same byte of one buffer;
 *  3. two buffers share arena bytes only if every use of the one is an ancestor of all definitions of the other. The
 *     same step may be both, when it works in place: step.c has proven that its kernel can.
 * State buffers keep their value between runs: they share with nobody, and steps that touch the same bytes of one, of
 * which one writes, must be ordered, no more. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

typedef struct access {
    uint32_t buffer;
    uint32_t step;
    uint32_t tensor;
    uint32_t writes;
} access;

/* Comparisons an honest plan never comes near; a hostile one is refused instead of keeping us for hours. */
enum { MAX_COMPARISONS = 1 << 28 };

typedef struct proof {
    const ingot_file *file;
    const ingot_program *program;
    const uint64_t *ancestors; /* bit rows, NULL in a serial program */
    uint64_t row_words;
    access *accesses; /* sorted by buffer, then step */
    uint32_t *first;  /* of each buffer, with one entry behind the last */
    uint64_t comparisons;
} proof;

static int precedes(const proof *p, uint32_t a, uint32_t b) {
    if (!p->ancestors) return a < b;
    return a < b && p->ancestors[b * p->row_words + a / 64] >> (a % 64) & 1;
}

static uint64_t *make_ancestors(const ingot_file *f, const ingot_program *p, uint64_t row_words) {
    uint64_t *rows = calloc(p->steps.count ? p->steps.count : 1, row_words * 8);
    if (!rows) return NULL;
    /* Edges lead forward, so by the time a row is needed all edges into its step must have been merged: walk the
     * targets in order. Edges are bucketed by target first, as the file may list them in any order. */
    const ingot_table *table = &f->tables[INGOT_SECTION_EDGES];
    uint32_t *head = malloc(sizeof(uint32_t) * (p->steps.count + 1)),
             *next = malloc(sizeof(uint32_t) * (p->edges.count + 1));
    if (!head || !next) {
        free(head), free(next), free(rows);
        return NULL;
    }
    memset(head, 0xff, sizeof(uint32_t) * (p->steps.count + 1));
    for (uint32_t i = 0; i < p->edges.count; i++) {
        const ingot_edge *e = (const ingot_edge *)ingot_record(table, p->edges.first + i);
        next[i] = head[e->to];
        head[e->to] = i;
    }
    for (uint32_t to = 0; to < p->steps.count; to++)
        for (uint32_t i = head[to]; i != UINT32_MAX; i = next[i]) {
            uint32_t from = ((const ingot_edge *)ingot_record(table, p->edges.first + i))->from;
            uint64_t *row = rows + to * row_words, *source = rows + from * row_words;
            for (uint64_t w = 0; w < row_words; w++) row[w] |= source[w];
            row[from / 64] |= (uint64_t)1 << (from % 64);
        }
    free(head), free(next);
    return rows;
}

static int compare_access(const void *a, const void *b) {
    const access *x = a, *y = b;
    if (x->buffer != y->buffer) return x->buffer < y->buffer ? -1 : 1;
    if (x->step != y->step) return x->step < y->step ? -1 : 1;
    return x->writes > y->writes ? -1 : x->writes < y->writes;
}

static int views_overlap(const proof *p, uint32_t x, uint32_t y) {
    const ingot_tensor *a = ingot_get_tensor(p->file, p->program, x), *b = ingot_get_tensor(p->file, p->program, y);
    if (x == y) return 1;
    uint64_t end_a = a->offset + ingot_view_bytes(a->dtype, a->rank, a->dims, a->pitch);
    uint64_t end_b = b->offset + ingot_view_bytes(b->dtype, b->rank, b->dims, b->pitch);
    if (a->offset >= end_b || b->offset >= end_a) return 0;
    uint64_t bits_a = ingot_dtype_bits(a->dtype), bits_b = ingot_dtype_bits(b->dtype);
    uint64_t pitch = (uint64_t)a->pitch * bits_a / 8;
    if (pitch && pitch == (uint64_t)b->pitch * bits_b / 8) { /* columns of rows of the same pitch */
        uint64_t row_a = (uint64_t)(a->rank ? a->dims[a->rank - 1] : 1) * bits_a / 8;
        uint64_t row_b = (uint64_t)(b->rank ? b->dims[b->rank - 1] : 1) * bits_b / 8;
        if (ingot_rows_apart(a->offset, row_a, b->offset, row_b, pitch)) return 0;
    }
    return 1;
}

static int spend(proof *p, uint32_t a, uint32_t b) {
    uint64_t uses_a = p->first[a + 1] - p->first[a], uses_b = p->first[b + 1] - p->first[b];
    p->comparisons += uses_a * uses_b + 1;
    return p->comparisons <= MAX_COMPARISONS;
}

static ingot_status too_many(ingot_error *error) {
    return ingot_fail(error, INGOT_ERR_PLAN, INGOT_NO_OFFSET, "the plan shares memory too often to be checked");
}

/* Rules 1 and 2 within one buffer. */
static ingot_status check_buffer(proof *p, uint32_t buffer, ingot_error *error) {
    const ingot_buffer *b = ingot_get_buffer(p->file, p->program, buffer);
    int persistent = b->storage == INGOT_STORAGE_STATE, given = b->storage == INGOT_STORAGE_CONSTANT ||
                                                                b->storage == INGOT_STORAGE_INPUT ||
                                                                b->storage == INGOT_STORAGE_GENERATED;
    if (given || b->size == 0) return INGOT_OK;
    uint32_t begin = p->first[buffer], end = p->first[buffer + 1];
    uint64_t at = ingot_record_offset(&p->file->tables[INGOT_SECTION_BUFFERS], p->program->buffers.first + buffer);
    if (!spend(p, buffer, buffer)) return too_many(error);
    for (uint32_t i = begin; i < end; i++) {
        const access *x = &p->accesses[i];
        int written = persistent || x->writes;
        for (uint32_t j = begin; j < end; j++) {
            const access *y = &p->accesses[j];
            if (i == j || !y->writes || !views_overlap(p, x->tensor, y->tensor)) continue;
            if (x->step == y->step) continue; /* in place is step.c's matter */
            written = 1;
            if (persistent ? !(precedes(p, x->step, y->step) || precedes(p, y->step, x->step))
                           : x->writes || !precedes(p, y->step, x->step))
                return ingot_fail(error, INGOT_ERR_PLAN, at,
                                  "step %u and step %u touch the same bytes of buffer %u in no "
                                  "sound order",
                                  y->step, x->step, buffer);
        }
        if (!written)
            return ingot_fail(error, INGOT_ERR_PLAN, at, "step %u reads buffer %u, which nobody writes before it",
                              x->step, buffer);
    }
    return INGOT_OK;
}

/* Whether every use of a comes before every definition of b, or is the same step. */
static int dies_before(const proof *p, uint32_t a, uint32_t b) {
    for (uint32_t i = p->first[a]; i < p->first[a + 1]; i++)
        for (uint32_t j = p->first[b]; j < p->first[b + 1]; j++) {
            const access *x = &p->accesses[i], *y = &p->accesses[j];
            if (!y->writes) continue;
            if (!precedes(p, x->step, y->step) && (x->step != y->step || x->writes)) return 0;
        }
    return 1;
}

static ingot_status check_pair(proof *p, uint32_t a, uint32_t b, ingot_error *error) {
    const ingot_buffer *x = ingot_get_buffer(p->file, p->program, a);
    if (!spend(p, a, b)) return too_many(error);
    if (p->first[a] == p->first[a + 1] || p->first[b] == p->first[b + 1])
        return INGOT_OK; /* nobody touches one of them */
    if (x->storage == INGOT_STORAGE_ARENA && (dies_before(p, a, b) || dies_before(p, b, a))) return INGOT_OK;
    return ingot_fail(error, INGOT_ERR_PLAN, p->file->tables[INGOT_SECTION_BUFFERS].file_offset,
                      "buffers %u and %u share memory while both are needed", a, b);
}

typedef struct keyed {
    uint64_t offset;
    uint32_t buffer;
} keyed;

static int compare_keyed(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

/* Rule 3: buffers by offset, each against those that begin before it ends. */
static ingot_status check_storage(proof *p, uint32_t storage, keyed *sorted, ingot_error *error) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->program->buffers.count; i++) {
        const ingot_buffer *b = ingot_get_buffer(p->file, p->program, i);
        if (b->storage == storage && b->size) sorted[count++] = (keyed){b->offset, i};
    }
    qsort(sorted, count, sizeof *sorted, compare_keyed);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t end = sorted[i].offset + ingot_get_buffer(p->file, p->program, sorted[i].buffer)->size;
        for (uint32_t j = i + 1; j < count && sorted[j].offset < end; j++) {
            ingot_status status = check_pair(p, sorted[i].buffer, sorted[j].buffer, error);
            if (status) return status;
        }
    }
    return INGOT_OK;
}

static uint32_t collect(const ingot_file *f, const ingot_program *p, access *accesses) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->steps.count; i++) {
        const ingot_step *s = ingot_get_step(f, p, i);
        uint32_t total = (uint32_t)s->in_count + s->out_count;
        for (uint32_t k = 0; k < total + 1; k++) {
            uint32_t id = k < total ? ingot_get_operand(f, s, k) : s->workspace;
            if (id == INGOT_NO_INDEX) continue;
            if (accesses) accesses[count] = (access){ingot_get_tensor(f, p, id)->buffer, i, id, k >= s->in_count};
            count++;
        }
    }
    return count;
}

/* Outputs are read by the caller behind the last step: somebody must have written each. */
static ingot_status check_outputs(const proof *p, ingot_error *error) {
    for (uint32_t i = 0; i < p->program->io.count; i++) {
        const ingot_io *io = ingot_get_io(p->file, p->program, i);
        uint32_t buffer = ingot_get_tensor(p->file, p->program, io->tensor)->buffer, written = 0;
        if (!io->is_output || ingot_get_buffer(p->file, p->program, buffer)->size == 0) continue;
        for (uint32_t k = p->first[buffer]; k < p->first[buffer + 1]; k++) written |= p->accesses[k].writes;
        if (!written)
            return ingot_fail(error, INGOT_ERR_PLAN, p->file->tables[INGOT_SECTION_IO].file_offset,
                              "no step writes output %s", ingot_file_string(p->file, io->name));
    }
    return INGOT_OK;
}

ingot_status ingot_verify_sharing(const ingot_file *f, const ingot_program *program, ingot_error *error) {
    int serial = (program->flags & INGOT_PROGRAM_SERIAL) != 0;
    proof p = {.file = f, .program = program, .row_words = ((uint64_t)program->steps.count + 63) / 64};
    uint32_t count = collect(f, program, NULL), buffers = program->buffers.count;
    uint64_t *ancestors = serial ? NULL : make_ancestors(f, program, p.row_words);
    keyed *sorted = malloc(sizeof *sorted * ((size_t)buffers + 1));
    p.accesses = malloc(sizeof *p.accesses * ((size_t)count + 1));
    p.first = calloc((size_t)buffers + 2, sizeof *p.first);
    p.ancestors = ancestors;
    ingot_status status;
    if ((!serial && !ancestors) || !sorted || !p.accesses || !p.first) {
        status = ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory to check the plan");
    } else {
        collect(f, program, p.accesses);
        qsort(p.accesses, count, sizeof *p.accesses, compare_access);
        for (uint32_t i = 0; i < count; i++) p.first[p.accesses[i].buffer + 1]++;
        for (uint32_t i = 0; i < buffers; i++) p.first[i + 1] += p.first[i];
        status = INGOT_OK;
        for (uint32_t i = 0; !status && i < buffers; i++) status = check_buffer(&p, i, error);
        if (!status) status = check_storage(&p, INGOT_STORAGE_ARENA, sorted, error);
        if (!status) status = check_storage(&p, INGOT_STORAGE_STATE, sorted, error);
        if (!status) status = check_outputs(&p, error);
    }
    free(ancestors), free(sorted), free(p.accesses), free(p.first);
    return status;
}
