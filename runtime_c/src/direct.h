/* Running one kernel on plain memory, without an engine: how the builder folds constants and how tests and benchmarks
 * reach a single kernel. The same checks as for a step of a file. And running one step of a context, to look at its
 * results. Not part of the public API. */
#ifndef INGOT_DIRECT_H
#define INGOT_DIRECT_H

#include "ingot.h"

/* cffi:begin */
typedef struct ingot_direct_operand {
    void *data;
    int64_t dims[8];
    int64_t pitch;
    uint32_t dtype; /* 0: absent */
    uint32_t rank;
    uint32_t storage; /* ingot_storage */
    uint32_t reserved;
} ingot_direct_operand;

/* Runs a kernel: operands are inputs, then outputs. `isa` names the implementation, which must exist, or is NULL for
 * the best. Units are done in `splits` contiguous parts, as that many threads would. Constants' data is visible to the
 * check. */
ingot_status ingot_direct_run(const char *kernel, const char *isa, const ingot_direct_operand *operands,
                              uint32_t in_count, uint32_t out_count, const void *params, uint64_t params_size,
                              void *workspace, uint64_t workspace_size, uint32_t splits, ingot_error *error);

/* Asks the kernel's own check alone, as for a step of a file: INGOT_OK, or why not. No operand needs data; that of
 * constants, where given, is visible to the check. `launch` makes it a CUDA kernel: grid, block (three each), bytes of
 * dynamic shared memory. */
ingot_status ingot_direct_check(const char *kernel, const ingot_direct_operand *operands, uint32_t in_count,
                                uint32_t out_count, const void *params, uint64_t params_size, uint64_t workspace_size,
                                const uint32_t *launch, ingot_error *error);

/* Runs one step of a context on this thread, with the bits of a whole run when all steps before it have run so.
 * `results` (room for 64) tells where its `count` results lie; later steps may overwrite them. */
ingot_status ingot_direct_step(ingot_context *context, uint32_t step, ingot_direct_operand *results, uint32_t *count,
                               ingot_error *error);

typedef struct ingot_direct_kernel {
    const char *name;
    uint32_t abi;
    uint32_t params_size;
    uint32_t isas; /* bit set: which implementations exist; 0 of a CUDA kernel */
    uint32_t flags;
    uint32_t inplace;
    uint32_t backend; /* ingot_backend */
    uint32_t maps;    /* inputs that tensor maps bring */
} ingot_direct_kernel;
/* The kernel at `index` of the table; returns 0 past the end. */
int ingot_direct_kernel_at(uint32_t index, ingot_direct_kernel *kernel);
/* Bit set of the instruction sets this processor has, in the order of ingot_isa; and their names. */
uint32_t ingot_direct_isas(void);
const char *ingot_direct_isa_name(uint32_t isa);
/* CRC-32C, as the engine file uses it. */
uint32_t ingot_direct_crc32c(uint32_t crc, const void *data, size_t size);
/* Generated data as fills and self-tests have it. */
void ingot_direct_fill(void *data, uint32_t dtype, uint64_t bytes, uint64_t seed);
void ingot_direct_sha256(const void *data, size_t size, uint8_t *digest);
typedef struct ingot_direct_device {
    char name[64];
    uint32_t driver; /* 1000 * major + 10 * minor of the newest CUDA that the driver knows */
    uint32_t arch;   /* 10 * major + minor */
    uint32_t multiprocessors;
    uint32_t integrated; /* shares memory with the processor */
    uint64_t bytes;
} ingot_direct_device;
/* A CUDA device of this machine. INGOT_ERR_ARGUMENT past the last; INGOT_ERR_NO_VARIANT when there is no driver. */
ingot_status ingot_direct_device_at(uint32_t index, ingot_direct_device *device, ingot_error *error);
/* What a DLPack capsule begins with (dlpack.h, DLTensor): Python reads it for arrays on a device. */
typedef struct ingot_dltensor {
    void *data;
    int32_t device_type, device_id;
    int32_t ndim;
    uint8_t code, bits; /* of the element type */
    uint16_t lanes;
    int64_t *shape;
    int64_t *strides; /* in elements; NULL: dense */
    uint64_t byte_offset;
} ingot_dltensor;
/* The bytes of the file where the engine reads them; they live as long as the engine. */
const void *ingot_direct_engine_bytes(const ingot_engine *engine, uint64_t *size);
/* cffi:end */

#endif
