/* The steps of a context many times in one graph: what a tuner times. */
#ifndef INGOT_CUDA_REPEAT_H
#define INGOT_CUDA_REPEAT_H

#include "cuda.h"

typedef struct ingot_cuda_repeat {
    CUgraph graph;
    CUgraphExec executable;
    CUdeviceptr copies; /* constants of all runs but the first */
} ingot_cuda_repeat;

/* `runs` runs of the context's steps, one after the other, without copies of inputs and outputs. With `apart` each run
 * reads constants of its own, so that none of them is in a cache because of the run before. */
ingot_status ingot_cuda_repeat_make(ingot_context *context, uint32_t runs, int apart, ingot_cuda_repeat *repeat,
                                    ingot_error *error);
/* Bytes of device memory that one run more needs with `apart`. */
uint64_t ingot_cuda_repeat_bytes(const ingot_context *context);
/* Gives back what was made, all zeros as well. Where the device's context cannot be entered all is still there: its
 * status, and to be called again. */
ingot_status ingot_cuda_repeat_end(const ingot_context *context, ingot_cuda_repeat *repeat, ingot_error *error);

/* Nanoseconds from before to behind all its runs, by events of the device. Before them the device is kept busy, so that
 * it never waits for the host: by the same runs, or, with `size`, by writing that many bytes at `other`, behind which
 * nothing of the context is in a cache. `empty`: nothing instead of the runs, what the events themselves cost. */
ingot_status ingot_cuda_repeat_time(ingot_context *context, const ingot_cuda_repeat *repeat, CUdeviceptr other,
                                    uint64_t size, int empty, double *nanoseconds, ingot_error *error);

#endif
