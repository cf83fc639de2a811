/* The kernel contract: what a CPU kernel is given and what it owes.
 *
 * A kernel is a pure function over memory that somebody else planned. It knows nothing of the engine file, of
 * threads or of ONNX. It never allocates, never takes a lock, never keeps state of its own, and gives the same bits
 * for the same operands however its work units are split.
 *
 * The loader calls `check` once for each step (and again when a shape is set). A step that passes `check` cannot make
 * `run` read or write outside its operands, whatever the file said. `run` therefore does not check again, with one
 * exception: indices that arrive as data are checked where they are used, and answer INGOT_KERNEL_ERR_INDEX. */
#ifndef INGOT_KERNEL_H
#define INGOT_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "ingot_format.h" /* ingot_dtype, ingot_storage, INGOT_MAX_RANK */

/* One operand as a kernel sees it. An absent optional operand has dtype INGOT_DTYPE_NONE and data NULL.
 *
 * The framework has already proven: 0 <= rank <= INGOT_MAX_RANK; every extent >= 0 and their product `count` fits
 * int64; unused dims are 1; `pitch` >= the last extent; and all elements lie inside the tensor's memory. Operands are
 * dense (pitch == last extent) unless the family has INGOT_KERNEL_PITCHED. `data` is aligned to 64 bytes for arena
 * and constant tensors, and to the element's size for bound inputs and outputs.
 * During `check`, `data` is set for constants only, so that a check may read them; NULL for those of a tuning pack that
 * the runtime generates later. */
typedef struct ingot_arg {
    void *data;
    int64_t dims[INGOT_MAX_RANK];
    int64_t pitch; /* elements from one row (last axis) to the next */
    int64_t count; /* product of dims */
    uint8_t dtype; /* ingot_dtype */
    uint8_t rank;
    uint8_t storage; /* ingot_storage */
    uint8_t reserved[5];
} ingot_arg;

/* How a step of a CUDA program is started. */
typedef struct ingot_grid {
    uint32_t grid[3];
    uint32_t block[3];
    uint32_t shared_bytes; /* dynamic */
    uint32_t counters;     /* words of the step's own that are zero when it begins (cuda_call.h) */
} ingot_grid;

/* A step with everything resolved. Inputs come before outputs in the file and are split here. */
typedef struct ingot_call {
    const ingot_arg *in;
    const ingot_arg *out;
    uint32_t in_count;
    uint32_t out_count;
    const void *params;      /* the family's parameter struct, 16-byte aligned, exactly params_size bytes */
    void *state;             /* state_size bytes, 64-byte aligned, written by prepare; NULL in check */
    void *workspace;         /* planned by the builder in the arena, shared by all threads; NULL if none */
    uint64_t workspace_size; /* bytes the file gives; check compares it with what the kernel needs */
    const ingot_grid *grid;  /* CUDA; NULL on the CPU */
} ingot_call;

enum { INGOT_KERNEL_OK = 0, INGOT_KERNEL_ERR_INDEX = 1 };

/* Does work units [begin, end). `scratch` is this thread's own, scratch_size bytes, 64-byte aligned, contents
 * undefined. Units are split over threads in contiguous ranges; a unit is done by exactly one thread and no two units
 * write the same byte. */
typedef int (*ingot_run_fn)(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch);

/* What all implementations of a kernel share. A NULL function means: nothing to do, zero bytes, or one unit. */
typedef struct ingot_family {
    uint32_t params_size;
    uint32_t flags;
    uint32_t in_min, in_max, out_min, out_max; /* accepted operand counts, absent ones included */
    uint32_t maps;                             /* CUDA: how many of the first inputs tensor maps bring (cuda_call.h) */
    uint32_t inplace;                          /* bit i: input i may occupy exactly the bytes of output 0 */
    const char *(*check)(const ingot_call *);  /* NULL when the step is sound, else the reason, a static string */
    uint32_t (*units)(const ingot_call *);     /* independent of the number of threads */
    uint64_t (*state_size)(const ingot_call *);
    void (*prepare)(
        const ingot_call *); /* fills call->state; operand data pointers are not valid yet except constants */
    uint64_t (*scratch_size)(const ingot_call *); /* bytes each thread needs */
} ingot_family;

enum {
    INGOT_KERNEL_PITCHED = 1,   /* takes operands whose pitch is larger than the last extent */
    INGOT_KERNEL_OVERREADS = 2, /* may read up to 64 bytes past an operand: takes no bound inputs or outputs as input */
    INGOT_KERNEL_EXACT = 4,     /* gives the same bits on every instruction set */
};

/* Instruction sets, worst to best within an architecture. The loader takes the last one that the processor has and
 * the kernel implements; the portable one always exists. */
typedef enum ingot_isa {
    INGOT_ISA_PORTABLE = 0,
    INGOT_ISA_AVX2,
    INGOT_ISA_AVXVNNI,
    INGOT_ISA_AVX512,
    INGOT_ISA_AVX512VNNI,
    INGOT_ISA_AVX512BF16,
    INGOT_ISA_NEON,
    INGOT_ISA_NEONDOT,
    INGOT_ISA_NEONBF16,
    INGOT_ISA_COUNT
} ingot_isa;

/* CUDA kernels have no function here: their machine code stands in the engine. */
typedef struct ingot_kernel {
    const char *name; /* what it computes and how its operands are packed, e.g. conv_f32_n16 */
    uint32_t abi;     /* raised when the parameter struct or its meaning changes */
    uint32_t backend; /* ingot_backend */
    const ingot_family *family;
} ingot_kernel;

/* A kernel file is compiled with INGOT_ISA set to the suffix of its name: foo_cpu.c -> portable,
 * foo_cpu_avx2.c -> avx2. INGOT_RUN(foo) names the entry point that kernels.inc refers to. */
#define INGOT_PASTE_(a, b, c) a##b##__##c
#define INGOT_PASTE(a, b, c) INGOT_PASTE_(a, b, c)
#define INGOT_RUN(kernel) INGOT_PASTE(ingot_k_, kernel, INGOT_ISA)
#define INGOT_KERNEL_FN(kernel)                                                                                        \
    int INGOT_RUN(kernel)(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch)

#endif
