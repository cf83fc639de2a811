/* Contexts of CUDA programs: what context.c and run.c call, and what the files of this folder share.
 *
 * Inputs and outputs lie in pinned memory. A device with memory of its own gets copies of them, made by nodes of the
 * graph; an integrated one uses them in place. The program is one executable graph: a kernel node for each step, the
 * file's edges, and those copies. A run launches it and waits. */
#ifndef INGOT_CUDA_H
#define INGOT_CUDA_H

#include "context.h"
#include "driver.h"

typedef struct ingot_cuda_step {
    CUfunction function;
    CUgraphNode node;
    uint8_t *call; /* operands, tail, parameters, as cuda_call.h says */
} ingot_cuda_step;

typedef enum ingot_cuda_place {                      /* what is bound */
                                INGOT_PLACE_OWN = 0, /* the context's own buffer */
                                INGOT_PLACE_STAGED =
                                    1, /* the caller's, not pinned: the host copies to and from the own one */
                                INGOT_PLACE_PINNED = 2, /* the caller's, which the device reaches */
                                INGOT_PLACE_DEVICE = 3  /* the caller's, on the device */
} ingot_cuda_place;

typedef struct ingot_cuda_io {
    uint8_t *host;    /* the own buffer, pinned */
    CUdeviceptr view; /* where steps see the own one: its copy on the device, or itself */
    CUgraphNode copy; /* between the two; NULL where there is nothing to copy */
    uint32_t place;   /* ingot_cuda_place */
    uint32_t reserved;
} ingot_cuda_io;

enum { INGOT_CUDA_MARKS = 33 }; /* of a profile: one step between each two */

/* The head of the pinned block: words that the device writes and the host reads. */
typedef struct ingot_cuda_words {
    uint32_t failed; /* 1 + a step that met an index out of range */
    uint32_t done;   /* the end of a run writes its ticket, a node of the graph 1 (INGOT_WAIT_POLL) */
} ingot_cuda_words;

typedef struct ingot_cuda {
    const ingot_driver *driver;
    CUdevice device;
    CUcontext primary; /* retained */
    uint32_t integrated;
    uint32_t wait;    /* ingot_wait */
    uint32_t writes;  /* the stream writes `done`; else a node of the graph does (INGOT_WAIT_POLL) */
    uint32_t overlap; /* kernels may start before those end that they wait for, where the program can */

    CUstream stream; /* of runs that are not on the caller's */
    CUevent done;
    CUevent marks[INGOT_CUDA_MARKS];
    CUmodule *modules;     /* of the file; NULL where no step uses one */
    CUfunction *functions; /* by launch record */
    CUgraph graph;
    CUgraphExec executable;
    ingot_cuda_step *steps;
    ingot_cuda_io *io;
    uint8_t *first_state; /* what reset copies to the device */

    uint8_t *pinned;
    CUdeviceptr pinned_view; /* as the device sees it */
    uint64_t pinned_size, device_size;
    CUdeviceptr device_memory;
    CUdeviceptr one;      /* a word that is 1 on the device */
    CUdeviceptr counters; /* of all steps, in their order */
    uint32_t pinned_allocated, pinned_registered, device_allocated;
    volatile ingot_cuda_words *words;

    uint32_t pending;  /* a run was started and not waited for */
    uint32_t ticket;   /* of the run that was started last */
    uint32_t alone;    /* none was under way when it was started */
    uint32_t recorded; /* `done` stands behind it */
    CUresult failed;   /* the first call of a run that failed: nothing runs afterwards */
    const char *failed_in;
} ingot_cuda;

/* context.c: sizes of the blocks, a context of a program in them, its end, and bytes of the blocks it has. Public
 * contexts are of the first program. */
ingot_status ingot_cuda_need(const ingot_engine *engine, const ingot_bound_program *program, ingot_memory *need,
                             ingot_error *error);
ingot_status ingot_cuda_make(const ingot_engine *engine, const ingot_bound_program *program,
                             const ingot_context_options *options, const ingot_memory *memory, ingot_context **context,
                             ingot_error *error);
void ingot_cuda_end(ingot_context *context);
void ingot_cuda_sizes(const ingot_context *context, uint64_t *device_bytes, uint64_t *pinned_bytes);
/* graph.c: the executable graph, and binding, which changes it. The caller of ingot_cuda_build has made the primary
 * context current; `data` NULL binds the own buffer. */
ingot_status ingot_cuda_build(ingot_context *context, ingot_error *error);
ingot_status ingot_cuda_bind(ingot_context *context, uint32_t index, void *data, ingot_error *error);

/* maps.c: writes the tensor maps of a step, if it has any, into `block`, what it is launched with, for the operands
 * there; whether an input or output
 * may move to an address, which they limit. */
ingot_status ingot_cuda_map(const ingot_context *context, uint32_t step, uint8_t *block, ingot_error *error);
ingot_status ingot_cuda_check_maps(const ingot_context *context, uint32_t index, CUdeviceptr view, ingot_error *error);

/* run.c */
ingot_status ingot_cuda_run(ingot_context *context, ingot_error *error);
ingot_status ingot_cuda_enqueue(ingot_context *context, void *stream, ingot_error *error);
ingot_status ingot_cuda_wait(ingot_context *context, ingot_error *error);
ingot_status ingot_cuda_profile(ingot_context *context, uint64_t *nanoseconds, ingot_error *error);
ingot_status ingot_cuda_reset(ingot_context *context, ingot_error *error);

/* When what is in the stream has ended, it writes the ticket to `done`. */
CUresult ingot_cuda_write_end(const ingot_cuda *cuda, CUstream stream);

/* Makes the primary context current on this thread until leave. */
ingot_status ingot_cuda_enter(const ingot_cuda *cuda, ingot_error *error);
void ingot_cuda_leave(const ingot_cuda *cuda);

/* Calls a function of the driver and answers whether that went well; if not, `status` says what went wrong. */
#define INGOT_CUDA_TRY(status, cuda, step, error, function, ...)                                                       \
    ingot_cuda_try(&(status), cuda, (cuda)->driver->function(__VA_ARGS__), #function, step, error)
static inline int ingot_cuda_try(ingot_status *status, const ingot_cuda *cuda, CUresult result, const char *what,
                                 const char *step, ingot_error *error) {
    *status = result ? ingot_driver_fail(cuda->driver, result, what, step, error) : INGOT_OK;
    return !result;
}

#endif
