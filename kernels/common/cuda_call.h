/* How operands and parameters reach a CUDA kernel: one block of bytes, passed by value. The runtime fills it, kernels
 * declare it as ingot::call<N, Params> (cuda_device.h). The layout is part of every kernel's abi. */
#ifndef INGOT_CUDA_CALL_H
#define INGOT_CUDA_CALL_H

#include <stdint.h>

/* Raised when the layout below changes: a kernel of abi 2 is known as 102. */
enum { INGOT_CUDA_CALL_ABI = 1 };

/* An operand. Inputs come first, then outputs, absent ones included. */
typedef struct ingot_cuda_arg {
    void *data;      /* device address; NULL when absent */
    int64_t pitch;   /* elements from one row (last axis) to the next */
    int32_t dims[8]; /* row-major; unused ones 1. The product fits int32 */
    uint32_t rank;
    uint32_t dtype; /* ingot_dtype; 0 when absent */
} ingot_cuda_arg;

/* A family with `maps` (kernel.h) gets that many tensor maps behind the parameters, at a multiple of 64 bytes, which is
 * also where the block then ends: of the first inputs, each a matrix of its rows (all axes but the last) of which boxes
 * of 64 rows by 128 bytes are copied, in the swizzle of 128 bytes. Base and pitch are multiples of 16 bytes. */
enum {
    INGOT_CUDA_MAP_BYTES = 128,
    INGOT_CUDA_MAP_ALIGN = 64,
    INGOT_CUDA_BOX_ROWS = 64,
    INGOT_CUDA_BOX_BYTES = 128,
    INGOT_CUDA_MAPPED_ALIGN = 16
};

/* Follows the operands. The family's parameter struct comes next, at a multiple of 16 bytes, and the block ends at
 * one: zero bytes fill it. */
typedef struct ingot_cuda_tail {
    void *workspace;    /* NULL if none */
    uint32_t *status;   /* zero before a run. A kernel that meets an index out of range writes `step` there, and does
                           not access what it would have named */
    uint32_t *counters; /* of this step alone, as many as its launch asks for; NULL if none. Zero when a kernel begins,
                           and it leaves them zero: whoever counts last does that */
    uint32_t step;      /* 1 + the index of the step */
    uint32_t counter_count;
} ingot_cuda_tail;

#endif
