/* The inside of a context: one host block, laid out once, pointers resolved. Shared by context.c (making one),
 * run.c (running it) and shapes.c (setting shapes), and by cuda/, where contexts of CUDA programs have more. */
#ifndef INGOT_CONTEXT_H
#define INGOT_CONTEXT_H

#include <string.h>

#include "internal.h"
#include "workers.h"

typedef struct ingot_context_step {
    ingot_run_fn run;
    uint32_t units;
    uint32_t barrier; /* other threads must have finished before the next step begins */
    ingot_call call;
} ingot_context_step;

typedef struct ingot_io_use { /* an operand that views an input or output */
    uint64_t offset;          /* bytes from the start of the bound buffer */
    uint32_t arg;
    uint32_t reserved;
} ingot_io_use;

struct ingot_context {
    const ingot_engine *engine;
    const ingot_bound_program *program;
    uint32_t threads;
    uint32_t step_count;
    ingot_context_step *steps;
    ingot_arg *args; /* operands of all steps, in the order of the file */
    uint8_t *scratch;
    uint64_t scratch_stride; /* bytes a thread */
    ingot_workers *workers;  /* NULL with one thread */
    uint32_t together;       /* whether workers take part: some step of these shapes can be split */

    /* inputs and outputs */
    void **io_data;          /* bound now; of a CUDA program where the caller sees it, args have what its steps see */
    void **io_own;           /* the context's own */
    int64_t *io_dims;        /* io.count rows of INGOT_MAX_RANK */
    uint64_t *io_bytes;      /* of the current shape */
    uint64_t *io_bound;      /* bytes of the caller's buffer; those of the current shape for the context's own */
    uint32_t *io_uses_first; /* io.count + 1: which entries of io_uses */
    ingot_io_use *io_uses;

    /* shapes that vary: NULL in a static engine */
    ingot_tensor *tensors; /* with the current extents */
    uint8_t *params;       /* patched copies of the steps' parameters, in the order of the steps */
    int64_t *registers;
    uint32_t shape_pending; /* the inputs' shapes do not go together yet */
    uint32_t stale;         /* 1 + the first input or output whose bound buffer is not of the current shape, or 0 */

    /* where steps see storage: addresses of the device in a CUDA program */
    const uint8_t *constants; /* byte 0 of the section */
    uint8_t *arena;
    uint8_t *state;     /* STATE storage */
    uint8_t *generated; /* GENERATED storage */
    uint8_t *kernel_state;
    uint64_t *kernel_state_size; /* reserved for each step */

    uint64_t runs;
    uint64_t host_size;
    uint64_t *profile;       /* where a profiled run writes its times, or NULL */
    int32_t failed[64];      /* for each thread the first step that failed, or -1 */
    void *allocation;        /* what create allocated */
    struct ingot_cuda *cuda; /* NULL on the CPU */
};

/* A bump allocator over a block; with base NULL it only counts. No run may meet a page fault, so whatever is taken has
 * been written to. */
typedef struct ingot_layout {
    uint8_t *base;
    uint64_t used;
} ingot_layout;

/* Sizes are bounded by the file, arenas by verify.c: no overflow. */
static inline uint8_t *ingot_reserve(ingot_layout *l, uint64_t bytes, uint64_t alignment) {
    const uint64_t at = ingot_align(l->used, alignment);
    l->used = at + bytes;
    return l->base ? l->base + at : NULL;
}

/* Memory of zeros. */
static inline void *ingot_take(ingot_layout *l, uint64_t count, uint64_t size, uint64_t alignment) {
    uint8_t *at = ingot_reserve(l, count * size, alignment);
    return at ? memset(at, 0, count * size) : NULL;
}

/* Memory as the block brought it, every page of it touched: for what is written before it is read. */
static inline void *ingot_take_dirty(ingot_layout *l, uint64_t bytes, uint64_t alignment) {
    enum { LEAST_PAGE = 4096 };
    volatile uint8_t *at = ingot_reserve(l, bytes, alignment);
    for (uint64_t i = 0; at && i < bytes; i += LEAST_PAGE) at[i] = 0;
    if (at && bytes) at[bytes - 1] = 0;
    return (void *)(uintptr_t)at;
}

/* context.c: what contexts of all backends have in common. First the layout, with *c all NULL when `l` only counts;
 * returns where the context itself goes. */
ingot_context *ingot_context_lay_out(ingot_layout *l, const ingot_engine *engine, const ingot_bound_program *program,
                                     ingot_context *c);
/* Fills a context that was laid out. Storage must be set; inputs and outputs point nowhere yet. */
void ingot_context_fill_in(ingot_context *c, const ingot_engine *engine, const ingot_bound_program *program);
/* First values of STATE storage, and with `generated` GENERATED storage, in memory of the host. */
void ingot_context_fill_storage(const ingot_context *c, uint8_t *state, uint8_t *generated);

/* context.c: a context for any program of the engine, in memory of the caller's (aligned to INGOT_CONTEXT_ALIGN, of the
 * bytes that `need` tells). Public contexts are of the first program and have a pool of their own; with several threads
 * these run on `workers`, which their maker stops. Destroying one is not needed. */
enum { INGOT_CONTEXT_ALIGN = 4096 };
uint64_t ingot_context_need(const ingot_engine *engine, const ingot_bound_program *program, uint32_t threads);
ingot_status ingot_context_place(const ingot_engine *engine, const ingot_bound_program *program, uint32_t threads,
                                 ingot_workers *workers, void *memory, ingot_context **context, ingot_error *error);

/* context.c: looks for bound buffers that a new shape has made too small or too large. */
void ingot_context_find_stale(ingot_context *context);

/* shapes.c: brings extents, parameters, kernel state and work units of every step up to date with io_dims. */
ingot_status ingot_context_apply_shapes(ingot_context *context, ingot_error *error);

int ingot_context_varies(const ingot_file *file, const ingot_program *program); /* whether shapes may be set */

/* Why a run must not begin: INGOT_OK when it may. */
ingot_status ingot_context_not_ready(const ingot_context *context, ingot_error *error);

/* run.c */
ingot_status ingot_context_start_workers(ingot_context *context, void *memory, const ingot_context_options *options,
                                         ingot_error *error);

#endif
