/* What the runtime's files share. Not installed. */
#ifndef INGOT_INTERNAL_H
#define INGOT_INTERNAL_H

#include "ingot.h"
#include "ingot_format.h"
#include "isa.h"
#include "kernel.h"
#include "map.h"

/* A section after its checks. Small sections are read from a private copy, so that a file that changes underneath
 * cannot change what was checked; CONSTANTS, MODULES and METADATA stay in place. */
typedef struct ingot_table {
    const uint8_t *base;
    uint64_t file_offset;
    uint64_t size;
    uint32_t entry_size;
    uint32_t count;
} ingot_table;

/* The record `index` of a table; the caller has checked the index. Records may be longer than we know. */
static inline const void *ingot_record(const ingot_table *table, uint32_t index) {
    return table->base + (uint64_t)index * table->entry_size;
}
static inline uint64_t ingot_record_offset(const ingot_table *table, uint32_t index) {
    return table->file_offset + (uint64_t)index * table->entry_size;
}

typedef struct ingot_file {
    const uint8_t *bytes;
    uint64_t size;
    ingot_header header;
    ingot_table tables[INGOT_SECTION_KIND_COUNT];
    void *copy; /* the private copy of the small sections, malloc'ed */
} ingot_file;

/* One step with its kernel found. */
typedef struct ingot_bound_step {
    const ingot_kernel *kernel;
    ingot_run_fn run;      /* NULL on CUDA */
    const uint8_t *params; /* in the file's copy */
    const ingot_step *record;
} ingot_bound_step;

typedef struct ingot_bound_program {
    const ingot_program *record;
    uint32_t operand_count; /* of all steps together */
    ingot_bound_step *steps;
} ingot_bound_program;

struct ingot_engine {
    ingot_file file;
    ingot_map map; /* what open_file made; bytes NULL otherwise */
    const ingot_variant *variant;
    uint32_t program_count;
    ingot_bound_program *programs; /* of the variant */
    ingot_isa best_isa;            /* of the kernels in use */
    ingot_isa_set isas;            /* allowed when the engine was opened */
    int device;                    /* that runs a CUDA variant */
    char code[12];                 /* what runs, for people: an instruction set, or sm_87 */
    ingot_error unfit;             /* why this machine cannot run the variant; its status is INGOT_OK when it can */
};

/* error.c */
ingot_status ingot_fail(ingot_error *error, ingot_status status, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void ingot_clear(ingot_error *error);
#define INGOT_NO_OFFSET UINT64_MAX

/* file.c: header, section table, checksums, strings. On failure nothing needs to be freed. */
ingot_status ingot_file_open(const void *bytes, uint64_t size, const ingot_options *options, ingot_file *file,
                             ingot_error *error);
void ingot_file_close(ingot_file *file);
const char *ingot_file_string(const ingot_file *file, uint32_t offset); /* NULL when out of range */

/* verify.c: every record of every program. */
ingot_status ingot_verify_records(const ingot_file *file, ingot_error *error);
/* verify_cuda.c: modules and launches; a program's steps, all for one backend; programs of each variant. */
ingot_status ingot_verify_launches(const ingot_file *file, ingot_error *error);
ingot_status ingot_verify_backend(const ingot_file *file, const ingot_program *program, ingot_error *error);
ingot_status ingot_verify_variants(const ingot_file *file, ingot_error *error);
const char *ingot_dtype_name(uint32_t dtype);
uint32_t ingot_dtype_bits(uint32_t dtype);
/* Bytes from the first to behind the last element of a view with these extents; UINT64_MAX on overflow. */
uint64_t ingot_view_bytes(uint32_t dtype, uint32_t rank, const int64_t *dims, int64_t pitch);

/* sharing.c: proves that no step can spoil a tensor that somebody still needs. */
ingot_status ingot_verify_sharing(const ingot_file *file, const ingot_program *program, ingot_error *error);

/* step.c: fills a step's arguments from the tensors, and asks the framework and the kernel whether it is sound. */
enum { INGOT_MAX_OPERANDS = 64 };
void ingot_fill_arg(const ingot_tensor *tensor, const ingot_buffer *buffer, ingot_arg *arg);
/* args has room for the step's operands; constants get their data, everything else NULL. */
void ingot_fill_call(const ingot_file *file, const ingot_program *program, const ingot_bound_step *step,
                     ingot_arg *args, ingot_call *call);
ingot_status ingot_check_step(const ingot_file *file, const ingot_program *program, const ingot_bound_step *step,
                              const ingot_call *call, uint32_t index, ingot_error *error);
/* Bytes of what a CUDA kernel is launched with (cuda_call.h), and the most that every driver takes. */
enum { INGOT_CUDA_MAX_BLOCK = 4096 };
uint32_t ingot_cuda_block_size(uint32_t operands, const ingot_family *family);
ingot_status ingot_verify_steps(const ingot_file *file, const ingot_bound_program *bound, ingot_error *error);

/* shape.c: runs the shape program on the extents of the inputs; registers has register_count entries. */
ingot_status ingot_shape_run(const ingot_file *file, const ingot_program *program, const int64_t *io_dims,
                             int64_t *registers, ingot_error *error);

/* fill.c: what fills of kind UNIFORM and MODERATE hold. */
void ingot_fill_random(void *memory, uint32_t dtype, uint64_t bytes, uint64_t seed);
void ingot_fill_moderate(void *memory, uint32_t dtype, uint64_t bytes, uint64_t seed);

/* selftest.c: compares what came out of a program's input or output `index` with what `test` expects. */
ingot_status ingot_self_test_output(const ingot_file *file, const ingot_program *program, uint32_t index,
                                    const ingot_selftest *test, const void *got, ingot_error *error);

/* kernel_table.c */
const ingot_kernel *ingot_kernel_find(uint32_t backend, const char *name);
const ingot_kernel *ingot_kernel_at(uint32_t index); /* NULL past the end; those of the CPU first */
/* An implementation, NULL when there is none; there is none of a CUDA kernel. */
ingot_run_fn ingot_kernel_run(const ingot_kernel *kernel, ingot_isa isa);
/* The best implementation within a set; isa may be NULL. */
ingot_run_fn ingot_kernel_select(const ingot_kernel *kernel, ingot_isa_set isas, ingot_isa *isa);

static inline uint64_t ingot_align(uint64_t value, uint64_t alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

/* Whether two sets of rows with one pitch keep to columns of their own: seen from a's rows, those of b begin behind
 * them and end before the next. All in bytes. */
static inline int ingot_rows_apart(uint64_t begin_a, uint64_t row_a, uint64_t begin_b, uint64_t row_b, uint64_t pitch) {
    if (pitch == 0 || row_a > pitch || row_b > pitch) return 0;
    uint64_t ahead = begin_b >= begin_a ? (begin_b - begin_a) % pitch : (pitch - (begin_a - begin_b) % pitch) % pitch;
    return ahead >= row_a && row_b <= pitch - ahead;
}

/* Typed access to the tables of a program. */
static inline const ingot_buffer *ingot_get_buffer(const ingot_file *f, const ingot_program *p, uint32_t i) {
    return (const ingot_buffer *)ingot_record(&f->tables[INGOT_SECTION_BUFFERS], p->buffers.first + i);
}
static inline const ingot_tensor *ingot_get_tensor(const ingot_file *f, const ingot_program *p, uint32_t i) {
    return (const ingot_tensor *)ingot_record(&f->tables[INGOT_SECTION_TENSORS], p->tensors.first + i);
}
static inline const ingot_io *ingot_get_io(const ingot_file *f, const ingot_program *p, uint32_t i) {
    return (const ingot_io *)ingot_record(&f->tables[INGOT_SECTION_IO], p->io.first + i);
}
static inline const ingot_step *ingot_get_step(const ingot_file *f, const ingot_program *p, uint32_t i) {
    return (const ingot_step *)ingot_record(&f->tables[INGOT_SECTION_STEPS], p->steps.first + i);
}
static inline const ingot_launch *ingot_get_launch(const ingot_file *f, const ingot_step *s) { /* of a CUDA program */
    return (const ingot_launch *)ingot_record(&f->tables[INGOT_SECTION_LAUNCHES], s->launch);
}
static inline uint32_t ingot_get_operand(const ingot_file *f, const ingot_step *s, uint32_t i) {
    return *(const uint32_t *)ingot_record(&f->tables[INGOT_SECTION_OPERANDS], s->operands + i);
}

#endif
