/* What the CUDA kernels that move data share: units of 1 to 16 bytes, extents, indices that arrive as data. */
#ifndef INGOT_MOVEMENT_CUDA_H
#define INGOT_MOVEMENT_CUDA_H

#include "cuda_device.h"

namespace ingot {

/* -- units: what one access moves ---------------------------------------------------------------------------------- */

struct alignas(16) bytes16 {
    uint64_t words[2];
};

/* Calls f with a unit of `bytes`: 1, 2, 4, 8 or 16. */
template <class F> DEVICE void with_unit(uint32_t bytes, F f) {
    switch (bytes) {
    case 1: f(uint8_t{}); break;
    case 2: f(uint16_t{}); break;
    case 4: f(uint32_t{}); break;
    case 8: f(uint64_t{}); break;
    default: f(bytes16{});
    }
}

/* The widest unit that divides everything whose bits are set in `sizes`: addresses, strides, lengths, in bytes. */
DEVICE uint32_t widest_unit(uint64_t sizes) {
    const uint32_t bits = (uint32_t)sizes | 16;
    return bits & (0u - bits);
}

/* By how much counts of elements of `size` bytes are shifted to give units of `width`. */
DEVICE uint32_t unit_shift(uint32_t width, uint32_t size) {
    return (width > size) + (width > 2 * size) + (width > 4 * size) + (width > 8 * size);
}

/* Bytes of an element of an ingot_dtype with a byte address: two bits for each type, the logarithm. */
DEVICE uint32_t element_size(uint32_t dtype) { return 1u << (0x3939178u >> 2 * dtype & 3); }

/* -- extents ------------------------------------------------------------------------------------------------------- */

/* Product of the extents of axes [begin, end). */
DEVICE uint32_t extent_of(const ingot_cuda_arg &arg, uint32_t begin, uint32_t end) {
    uint32_t product = 1;
#pragma unroll 1
    for (uint32_t axis = begin; axis < end; axis++) product *= (uint32_t)arg.dims[axis];
    return product;
}

DEVICE uint32_t count_of(const ingot_cuda_arg &arg) { return extent_of(arg, 0, 8); }

DEVICE uint32_t last_extent(const ingot_cuda_arg &arg) { return arg.rank ? (uint32_t)arg.dims[arg.rank - 1] : 1; }

template <class T> DEVICE T *pointer(const ingot_cuda_arg &arg) { return static_cast<T *>(arg.data); }

DEVICE uint64_t address(const ingot_cuda_arg &arg) { return (uint64_t)(uintptr_t)arg.data; }

/* -- indices ------------------------------------------------------------------------------------------------------- */

/* Index `i` of an operand of int64 or int32, counted from the front of an axis of `extent`; -1 when out of range. */
DEVICE int64_t index_at(const ingot_cuda_arg &arg, uint32_t i, int32_t extent) {
    int64_t index = element_size(arg.dtype) == 8 ? pointer<const int64_t>(arg)[i] : pointer<const int32_t>(arg)[i];
    index += index < 0 ? extent : 0;
    return index < 0 || index >= extent ? -1 : index;
}

/* An index was out of range. */
DEVICE void report(const ingot_cuda_tail &tail) { *tail.status = tail.step; }

/* -- threads of the grid ------------------------------------------------------------------------------------------- */

template <int THREADS> DEVICE uint32_t first_thread() { return blockIdx.x * THREADS + threadIdx.x; }
template <int THREADS> DEVICE uint32_t all_threads() { return gridDim.x * THREADS; }

} // namespace ingot

#endif
