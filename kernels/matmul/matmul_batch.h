/* Matrices and rows of the operands of a product, for its CUDA kernels. */
#ifndef INGOT_MATMUL_BATCH_H
#define INGOT_MATMUL_BATCH_H

#include "cuda_device.h"

namespace ingot {

/* Rows of an operand of which all axes but the last are rows. */
DEVICE int stacked_rows(const ingot_cuda_arg &a) {
    int rows = 1;
    for (uint32_t i = 0; i + 1 < a.rank; i++) rows *= a.dims[i];
    return rows;
}

DEVICE int batches_of(const ingot_cuda_arg &out) {
    int batches = 1;
    for (uint32_t i = 0; i + 2 < out.rank; i++) batches *= out.dims[i];
    return batches;
}

/* Which matrices of a and b make matrix `batch` of the result. */
struct batch_place {
    int a, b;

    DEVICE batch_place(const ingot_cuda_arg &left, const ingot_cuda_arg &right, const ingot_cuda_arg &out, int batch) {
        a = b = 0;
        int a_stride = 1, b_stride = 1;
        for (int i = 2; i < (int)out.rank; i++) {
            const int extent = out.dims[(int)out.rank - 1 - i], index = batch % extent;
            const int own = (int)left.rank - 1 - i, other = (int)right.rank - 1 - i;
            batch /= extent;
            if (own >= 0) {
                a += left.dims[own] == 1 ? 0 : index * a_stride;
                a_stride *= left.dims[own];
            }
            if (other >= 0) {
                b += right.dims[other] == 1 ? 0 : index * b_stride;
                b_stride *= right.dims[other];
            }
        }
    }
};

} // namespace ingot

#endif
