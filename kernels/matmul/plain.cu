/* Matrix products of the element types that have no tensor cores: a result a thread, in the order of the depth.
 * Integers wrap around, as they do in ONNX. */
#include "matmul.h"
#include "matmul_batch.h"

namespace ingot {

/* Operands: a, b, bias, residual, result; all dense. Signed integers are added as unsigned ones. */
template <class T> struct matmul_plain {
    static constexpr int threads = 128;
    static constexpr int blocks = 1;
    using call = ingot::call<5, ingot_matmul_params>;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &a = c.arg[0], &b = c.arg[1], &out = c.arg[4];
        const int rows = out.dims[out.rank - 2], columns = out.dims[out.rank - 1],
                  all = batches_of(out) * rows * columns;
        const int depth = a.dims[a.rank - (c.params.trans_a ? 2 : 1)];
        const int64_t a_step = c.params.trans_a ? a.pitch : 1, b_step = c.params.trans_b ? 1 : b.pitch;
        for (int i = (int)(blockIdx.x * blockDim.x + threadIdx.x); i < all; i += (int)(gridDim.x * blockDim.x)) {
            const int column = i % columns, row = i / columns % rows;
            const batch_place at(a, b, out, i / columns / rows);
            const T *x = static_cast<const T *>(a.data) + at.a * (int64_t)a.dims[a.rank - 2] * a.pitch;
            const T *w = static_cast<const T *>(b.data) + at.b * (int64_t)b.dims[b.rank - 2] * b.pitch;
            x += c.params.trans_a ? row : row * a.pitch;
            w += c.params.trans_b ? column * b.pitch : column;
            T sum = 0;
            for (int k = 0; k < depth; k++) sum += x[k * a_step] * w[k * b_step];
            T y = (T)c.params.alpha * sum;
            if (c.arg[2].data) y += static_cast<const T *>(c.arg[2].data)[column];
            if (c.arg[3].data) y += static_cast<const T *>(c.arg[3].data)[i];
            static_cast<T *>(out.data)[i] = y;
        }
    }
};

} // namespace ingot
