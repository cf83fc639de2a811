/* Which element types the families of CUDA kernels take. */
#ifndef INGOT_CUDA_TYPES_H
#define INGOT_CUDA_TYPES_H

#include "kernel.h"

/* float32, or stored in half and computed in float32. */
static inline int ingot_is_real(uint8_t dtype) {
    return dtype == INGOT_F32 || dtype == INGOT_F16 || dtype == INGOT_BF16;
}

/* Whether a float kernel makes the one of the other: of float64, float64. */
static inline int ingot_are_real(uint8_t from, uint8_t to) {
    return (ingot_is_real(from) && ingot_is_real(to)) || (from == INGOT_F64 && to == INGOT_F64);
}

#endif
