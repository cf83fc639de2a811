/* pool_half: what the files of the instruction sets need of pool_half_cpu.c. */
#ifndef INGOT_POOL_HALF_H
#define INGOT_POOL_HALF_H

#include <string.h>

#include "gemm_half.h"
#include "pool/pool_plan.h"

#define POOL_F32_(isa) ingot_k_pool_f32__##isa
#define POOL_F32(isa) POOL_F32_(isa)

/* pool_f32 of the base instruction set. */
#define POOL_HALF_KERNEL(isa)                                                                                          \
    int POOL_F32(isa)(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch);                            \
    INGOT_KERNEL_FN(pool_half) {                                                                                       \
        return ingot_pool_half_run(call, begin, end, scratch, &ingot_half__##isa, POOL_F32(isa));                      \
    }

int ingot_pool_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, const ingot_half_isa *isa,
                        ingot_run_fn pool);

#endif
