/* What the files of the instruction sets need of matmul_cpu.c (b packed) and matmul_free_cpu.c (b as it comes). */
#ifndef INGOT_MATMUL_F32_H
#define INGOT_MATMUL_F32_H

#include "gemm_f32.h"
#include "kernel.h"

int ingot_matmul_f32_n16_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                             const ingot_gemm_f32_isa *isa);
int ingot_matmul_f32_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                         const ingot_gemm_f32_isa *isa);

/* to[r * to_pitch + i] = scale * from[i * from_pitch + r], i < columns, r < rows. */
void ingot_matmul_transpose(const float *from, int64_t from_pitch, int64_t columns, int64_t rows, float scale,
                            float *to, int64_t to_pitch);

#endif
