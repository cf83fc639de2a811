/* image_conv_f32_n16, image_conv_f16_n16, image_conv_bf16_n16k2: what the files of the instruction sets need of
 * image_conv_cpu.c. */
#ifndef INGOT_IMAGE_CONV_CPU_H
#define INGOT_IMAGE_CONV_CPU_H

#include "gemm_half.h"

/* A line of an image, channels last: pixel i is {planes[0][i], ..., planes[pitch - 1][i]}. */
typedef struct ingot_image_line {
    const void *planes[4];
    int64_t pitch, count; /* 2 to 4 elements a pixel; pixels */
    void *to;
} ingot_image_line;

/* Lines of floats, and of half. */
typedef struct ingot_image_joins {
    void (*f32)(const ingot_image_line *line);
    void (*half)(const ingot_image_line *line);
} ingot_image_joins;

extern const ingot_image_joins ingot_image_joins__portable, ingot_image_joins__avx2, ingot_image_joins__avx512,
    ingot_image_joins__neon;

/* What one instruction set has. */
typedef struct ingot_image_isa {
    const ingot_half_isa *half; /* float32 too */
    const ingot_bf16_dot *dot;  /* or NULL */
    const ingot_image_joins *joins;
} ingot_image_isa;

int ingot_image_conv_f32_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                             const ingot_image_isa *isa);
int ingot_image_conv_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                              const ingot_image_isa *isa);

#endif
