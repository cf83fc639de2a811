/* Ingot runtime: loads an engine file in place and runs it in a real-time loop.
 *
 *     ingot_engine *engine;
 *     ingot_context *context;
 *     ingot_error error;
 *     if (ingot_engine_open_file("model.ingot", NULL, &engine, &error)) { puts(error.message); ... }
 *     if (ingot_context_create(engine, NULL, &context, &error)) { puts(error.message); ... }
 *     float *x = ingot_context_data(context, 0), *y = ingot_context_data(context, 1);
 *     for (;;) { fill(x); ingot_context_run(context, NULL); use(y); }
 *
 * Rules
 * - An engine is immutable once open: any number of threads may use it. A context belongs to one thread at a time.
 * - After a context is created, running it does no allocation, no file access and takes no lock.
 * - The same engine, input and instruction set give the same bits on every run, for any number of threads.
 * - Every call returns a status, 0 when all went well; ingot_error, when given, tells the reason. Values of
 *   statuses and fields are never reused. Option structs begin with their size, so that an older caller keeps working.
 * - Links against libc, libm and threads alone. C11 and C++11 can include this header. */
#ifndef INGOT_H
#define INGOT_H

#include <stddef.h>
#include <stdint.h>

#define INGOT_VERSION_MAJOR 0
#define INGOT_VERSION_MINOR 1
#define INGOT_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* cffi:begin */
typedef enum ingot_status {
    INGOT_OK = 0,

    INGOT_ERR_TRUNCATED = 10, /* the file is shorter or longer than its header says */
    INGOT_ERR_MAGIC = 11,     /* not an engine file */
    INGOT_ERR_VERSION = 12,   /* another format version, or a feature this runtime does not know */
    INGOT_ERR_CHECKSUM = 13,  /* damaged: a CRC-32C or SHA-256 differs */
    INGOT_ERR_FORMAT = 14,    /* a record of the file breaks a rule of the format */
    INGOT_ERR_KERNEL = 15,    /* the file needs a kernel this runtime does not have, or in another version */
    INGOT_ERR_STEP = 16,      /* a step's operands or parameters are refused by its kernel */
    INGOT_ERR_PLAN = 17,      /* two tensors share memory that must not */
    INGOT_ERR_SIGNATURE = 18, /* a signature was required and is missing or wrong */
    INGOT_ERR_SELFTEST = 19,  /* an output differs from what the file expects */

    INGOT_ERR_ARGUMENT = 20,  /* a NULL, an index or an option out of range */
    INGOT_ERR_SHAPE = 21,     /* a shape the engine does not take, or a buffer of another size */
    INGOT_ERR_ALIGNMENT = 22, /* a buffer not aligned to its element */

    INGOT_ERR_MEMORY = 30, /* the system has no memory, or the block given is too small */
    INGOT_ERR_FILE = 31,   /* the system cannot open, map or lock the file */
    INGOT_ERR_THREAD = 32, /* a worker thread cannot be started as asked */

    INGOT_ERR_NO_VARIANT = 40, /* no program of the file fits this machine */
    INGOT_ERR_DEVICE = 41,     /* the device or its driver failed */
    INGOT_ERR_ISA = 42,        /* INGOT_ISA names an instruction set that is unknown or that the processor lacks */

    INGOT_ERR_INDEX = 50,      /* a run met an index out of range in its input data; outputs are undefined */
    INGOT_ERR_UNSUPPORTED = 51 /* the call does not apply to this backend */
} ingot_status;

typedef struct ingot_error {
    ingot_status status;
    uint32_t reserved;
    uint64_t offset;   /* byte of the file where the reason stands, or UINT64_MAX */
    char message[240]; /* one line, NUL-terminated */
} ingot_error;

typedef struct ingot_engine ingot_engine;
typedef struct ingot_context ingot_context;

/* MAJOR << 16 | MINOR << 8 | PATCH of the library that runs, which may differ from the header's. */
uint32_t ingot_version_number(void);
/* A short name such as "checksum"; "unknown" for a value this library does not know. Never NULL. */
const char *ingot_status_name(ingot_status status);

/* ---- engine ------------------------------------------------------------------------------------------------- */

typedef enum ingot_open_flags {
    INGOT_OPEN_LOCK = 1,         /* open_file: copy the file into locked, prefaulted memory instead of mapping it */
    INGOT_OPEN_CHECK_SHA256 = 2, /* also verify the SHA-256 identity, at about 2 GB/s or less */
    INGOT_OPEN_REQUIRE_SIGNATURE = 4, /* refuse a file not signed by one of the keys; implies CHECK_SHA256 */
    INGOT_OPEN_TRUST_CONSTANTS = 8, /* do not read the constants for their checksum: instant start from trusted flash */
    INGOT_OPEN_SAME_BITS = 16,  /* the same bits on any machine: floating-point kernels in their portable form, slower;
                                   INT8 is exact in every form and stays as fast as it is. No program for CUDA */
    INGOT_OPEN_ANY_MACHINE = 32 /* check all variants, and open the file even if this machine cannot run it: then no
                                   context can be made, and asking for one tells the reason */
} ingot_open_flags;

typedef struct ingot_options {
    uint32_t size;              /* sizeof(ingot_options) */
    uint32_t flags;             /* ingot_open_flags */
    const uint8_t *public_keys; /* key_count times 32 bytes, Ed25519 */
    uint32_t key_count;
    uint32_t device; /* CUDA: 1 + the index of the device to use; 0: the first that fits */
    const char *isa; /* the best instruction set to use: portable, avx2, ...; NULL: what INGOT_ISA in the environment
                        says, else the best the processor has */
} ingot_options;

/* Opens an engine that lies in memory. `bytes` is borrowed: it must stay unchanged until the engine is closed, and be
 * aligned to 64 bytes (256 for best speed). options may be NULL. */
ingot_status ingot_engine_open(const void *bytes, size_t size, const ingot_options *options, ingot_engine **engine,
                               ingot_error *error);
/* Maps the file read-only and opens it. A mapped file that somebody truncates is a bus error: install by rename, or
 * use INGOT_OPEN_LOCK, which a control loop should. */
ingot_status ingot_engine_open_file(const char *path, const ingot_options *options, ingot_engine **engine,
                                    ingot_error *error);
/* Every check of ingot_engine_open, of all variants, with the SHA-256 identity, and nothing else: no device is needed.
 */
ingot_status ingot_engine_check(const void *bytes, size_t size, const ingot_options *options, ingot_error *error);
/* All its contexts must be destroyed before. NULL is fine. */
void ingot_engine_close(ingot_engine *engine);

typedef struct ingot_engine_info {
    uint32_t size; /* sizeof(ingot_engine_info), set by the caller */
    uint32_t step_count;
    const char *variant; /* the target whose program was taken; lives as long as the engine */
    const char *isa;     /* the best instruction set in use: portable, avx2, ...; of a program for CUDA sm_87, ... */
    uint8_t digest[32];  /* SHA-256 identity of the file */
    uint64_t arena_size;
    uint64_t constant_size;
    const char *unfit; /* why this machine cannot run the variant (INGOT_OPEN_ANY_MACHINE), or NULL */
} ingot_engine_info;
ingot_status ingot_engine_get_info(const ingot_engine *engine, ingot_engine_info *info);

typedef struct ingot_io_info {
    uint32_t size;    /* sizeof(ingot_io_info), set by the caller */
    uint32_t dtype;   /* 1 f32, 2 f64, 3 f16, 4 bf16, 5..8 i8 i16 i32 i64, 9..12 u8 u16 u32 u64, 13 bool */
    const char *name; /* lives as long as the engine */
    uint32_t is_output;
    uint32_t rank;
    int64_t dims[8];     /* row-major; the largest shape when shapes may vary */
    int64_t dims_min[8]; /* inputs: the smallest shape */
    uint64_t bytes;      /* of the largest shape */
} ingot_io_info;
/* Inputs come first, in the order of the model, then outputs. */
uint32_t ingot_engine_io_count(const ingot_engine *engine);
ingot_status ingot_engine_io_info(const ingot_engine *engine, uint32_t index, ingot_io_info *info);
/* Index of the input or output of that name, or UINT32_MAX. */
uint32_t ingot_engine_io_find(const ingot_engine *engine, const char *name);

/* ---- context ------------------------------------------------------------------------------------------------ */

typedef enum ingot_wait {
    INGOT_WAIT_BLOCK = 0, /* workers spin a bounded while, then sleep in a futex */
    INGOT_WAIT_SPIN = 1,  /* workers spin, between runs too: no system call, one core each */
    INGOT_WAIT_POLL = 2   /* CUDA alone, where BLOCK asks the driver a while, then sleeps, and SPIN keeps asking: looks
                             at a word in memory that the end of a run writes. The shortest delay */
} ingot_wait;

enum {
    INGOT_CONTEXT_IN_TURN = 1 /* CUDA: no kernel starts before those have ended that it waits for; for comparisons */
};

typedef struct ingot_context_options {
    uint32_t size;        /* sizeof(ingot_context_options) */
    uint32_t threads;     /* 1..64, the caller's own among them; 0 means 1 */
    uint32_t wait;        /* ingot_wait */
    uint32_t priority;    /* 1..99: SCHED_FIFO priority of the workers; 0: as the caller */
    const uint32_t *cpus; /* cpu for each worker thread, from thread 1 on; NULL: no affinity */
    uint32_t cpu_count;   /* entries of cpus: threads - 1, or 0 */
    uint32_t flags;       /* INGOT_CONTEXT_IN_TURN */
} ingot_context_options;

/* The three blocks a context lives in. A CPU engine needs the host block alone. On CUDA `pinned` and `device` may be
 * NULL where a context is made: then it takes them from the driver. Host memory that is not pinned will do as `pinned`:
 * it is registered with the driver as long as the context lives. */
typedef struct ingot_memory {
    uint32_t size; /* sizeof(ingot_memory), set by the caller */
    uint32_t reserved;
    void *host; /* aligned to 4096 */
    uint64_t host_size;
    void *pinned; /* aligned to 4096 */
    uint64_t pinned_size;
    void *device; /* aligned to 256 */
    uint64_t device_size;
} ingot_memory;

/* Writes the sizes that a context with these options needs. */
ingot_status ingot_context_memory(const ingot_engine *engine, const ingot_context_options *options, ingot_memory *need,
                                  ingot_error *error);
/* Makes a context in the caller's memory and allocates nothing. The memory must outlive the context. */
ingot_status ingot_context_init(const ingot_engine *engine, const ingot_context_options *options,
                                const ingot_memory *memory, ingot_context **context, ingot_error *error);
/* The same with one allocation a block. */
ingot_status ingot_context_create(const ingot_engine *engine, const ingot_context_options *options,
                                  ingot_context **context, ingot_error *error);
/* Ends the workers and frees what create allocated. NULL is fine. */
void ingot_context_destroy(ingot_context *context);

/* Where input or output `index` lies now: the context's own buffer until another is bound. NULL if out of range. On
 * CUDA too it is memory that the caller can read and write, unless memory of the device was bound. */
void *ingot_context_data(const ingot_context *context, uint32_t index);
/* Binds a buffer of the caller's to an input or output: `size` bytes, exactly those of the current shape, aligned to
 * the element. NULL binds the context's own buffer again. Inputs are never written. CUDA takes memory of the device and
 * pinned memory, which a run uses without another copy on the host, and any other memory.
 *
 * The buffer of an output must not overlap that of another output or of an input: results are written while inputs are
 * still read. A state that the model takes and gives is therefore copied from the output to the input between two runs,
 * or two buffers change places: each is bound to the input in one run and to the output in the next. */
ingot_status ingot_context_bind(ingot_context *context, uint32_t index, void *data, size_t size, ingot_error *error);
/* Sets the extents of an input, within its range. When all inputs that vary agree, the shape program gives every other
 * extent. On an error the former shapes stay. Does not allocate. */
ingot_status ingot_context_set_shape(ingot_context *context, uint32_t index, const int64_t *dims, uint32_t rank,
                                     ingot_error *error);
/* The current extents (8 entries, unused ones 1) of an input or output. */
ingot_status ingot_context_shape(const ingot_context *context, uint32_t index, int64_t *dims);
/* Runs the program once and returns when the outputs are there. */
ingot_status ingot_context_run(ingot_context *context, ingot_error *error);
/* CUDA: starts a run on the caller's stream (a CUstream of the device's primary context, or NULL) and returns; wait
 * ends the last one that was started, and tells whether one since the last wait met an index out of range. Inputs and
 * outputs belong to the device until then; none may be bound to memory that is not pinned. */
ingot_status ingot_context_enqueue(ingot_context *context, void *stream, ingot_error *error);
ingot_status ingot_context_wait(ingot_context *context, ingot_error *error);
/* Sets all state tensors to zero, as after create. */
ingot_status ingot_context_reset(ingot_context *context);

typedef struct ingot_stats {
    uint32_t size; /* sizeof(ingot_stats), set by the caller */
    uint32_t threads;
    uint64_t runs;       /* since the context was made */
    uint64_t host_bytes; /* of the host block */
    uint64_t arena_bytes;
    uint64_t device_bytes; /* of the device block */
    uint64_t pinned_bytes; /* of the pinned block */
} ingot_stats;
ingot_status ingot_context_stats(const ingot_context *context, ingot_stats *stats);

/* Runs the program once, timing every step with the monotonic clock, on CUDA with the device's and one step after the
 * other: nanoseconds[i] for step i, step_count entries. */
ingot_status ingot_context_profile(ingot_context *context, uint64_t *nanoseconds, uint32_t step_count,
                                   ingot_error *error);
/* The name of a step (the model's nodes it does) and of its kernel; NULL if out of range. */
const char *ingot_engine_step_name(const ingot_engine *engine, uint32_t step);
const char *ingot_engine_step_kernel(const ingot_engine *engine, uint32_t step);

/* Runs the file's self-test in memory of its own. INGOT_ERR_SELFTEST names the output that differed first;
 * INGOT_ERR_UNSUPPORTED when the file has none. */
ingot_status ingot_self_test(const ingot_engine *engine, ingot_error *error);
/* cffi:end */

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
