/* What the families of convolutions that are matrix products on CUDA share. */
#ifndef INGOT_CONV_GEMM_CUDA_H
#define INGOT_CONV_GEMM_CUDA_H

#include "conv_s8.h"
#include "gemm_half.h"
#include "gemm_split.h"

enum {
    INGOT_CONV_CHUNK = 16,      /* bytes that are copied at once */
    INGOT_CONV_MOST_LINES = 31, /* extents of the kernel, added: what a kernel's masks of them have bits for */
};

/* Operands of float32, or weights of a half type beside x, residual and result of that or float32. */
static inline const char *ingot_conv_gemm_types_check(const ingot_call *call) {
    if (call->in[INGOT_CONV_W].dtype == INGOT_F32) {
        return ingot_conv_operands_check(call, INGOT_F32, INGOT_F32);
    }
    const char *reason = ingot_half_types_check(call);
    return reason != NULL ? reason
                          : ingot_conv_types_check(call, call->in[INGOT_CONV_X].dtype, call->out[0].dtype,
                                                   call->in[INGOT_CONV_RESIDUAL].dtype, INGOT_F32);
}

static inline int64_t ingot_conv_gemm_size(const ingot_call *call) {
    return call->in[INGOT_CONV_W].dtype == INGOT_F32 ? 4 : 2;
}

/* The families conv_NAME_cuda and conv_NAME_s8_cuda with their checks; `mapped`: how many operands have tensor maps. */
#define INGOT_CONV_GEMM_FAMILIES(name, real, exact, mapped)                                                            \
    const ingot_family ingot_family_conv_##name##_cuda = {                                                             \
        .params_size = sizeof(ingot_conv_params),                                                                      \
        .flags = INGOT_KERNEL_PITCHED,                                                                                 \
        .in_min = 4,                                                                                                   \
        .in_max = 4,                                                                                                   \
        .out_min = 1,                                                                                                  \
        .out_max = 1,                                                                                                  \
        .maps = mapped,                                                                                                \
        .inplace = 1u << INGOT_CONV_RESIDUAL,                                                                          \
        .check = real,                                                                                                 \
    };                                                                                                                 \
    const ingot_family ingot_family_conv_##name##_s8_cuda = {                                                          \
        .params_size = sizeof(ingot_conv_s8_params),                                                                   \
        .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,                                                            \
        .in_min = 6,                                                                                                   \
        .in_max = 6,                                                                                                   \
        .out_min = 1,                                                                                                  \
        .out_max = 1,                                                                                                  \
        .maps = mapped,                                                                                                \
        .inplace = 1u << INGOT_CONV_RESIDUAL,                                                                          \
        .check = exact,                                                                                                \
    }

#endif
