/* What the files of the instruction sets need of matmul_cpu.c (b packed) and matmul_free_cpu.c (b as it comes). */
#ifndef INGOT_MATMUL_F32_H
#define INGOT_MATMUL_F32_H

#include "gemm_f32.h"
#include "kernel.h"

int ingot_matmul_f32_n16_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                             const ingot_gemm_f32_isa *isa);
int ingot_matmul_f32_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                         const ingot_gemm_f32_isa *isa);

/* Copies rows [first, first + count) of the transpose of a, which lies [k][m] with the given pitch, to [count][k]. */
static inline void ingot_matmul_gather_rows(const float *a, int64_t pitch, int64_t k, int64_t first, int64_t count,
                                            float *to) {
    for (int64_t i = 0; i < k; i++) {
        for (int64_t r = 0; r < count; r++) {
            to[r * k + i] = a[i * pitch + first + r];
        }
    }
}

#endif
