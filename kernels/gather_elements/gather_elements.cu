/* gather_elements_cuda: out[i, j, k] = data[i, indices[i, j, k], k] for the axis in the middle, any rank and axis
 * alike. Each thread moves an element. */
#include "gather_elements/gather_elements.h"
#include "strided_copy/movement_cuda.h"

namespace ingot {

struct gather_elements {
    static constexpr int threads = 256, blocks = 4;
    using call = ingot::call<3, ingot_gather_elements_params>;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &data = c.arg[0], &indices = c.arg[1], &out = c.arg[2];
        const uint32_t total = count_of(out);
        with_unit(element_size(data.dtype), [&](auto unit) {
            using T = decltype(unit);
            for (uint32_t i = first_thread<threads>(); i < total; i += all_threads<threads>()) {
                const int64_t index = index_at(indices, i, data.dims[c.params.axis]);
                if (index < 0) {
                    report(c.tail);
                    continue;
                }
                uint32_t rest = i;
                int64_t from = 0, stride = 1;
#pragma unroll 1
                for (uint32_t axis = data.rank; axis-- > 0;) {
                    const uint32_t extent = (uint32_t)out.dims[axis], next = rest / extent;
                    from += (axis == c.params.axis ? index : (int64_t)(rest - next * extent)) * stride;
                    stride *= data.dims[axis];
                    rest = next;
                }
                pointer<T>(out)[i] = pointer<const T>(data)[from];
            }
        });
    }
};

} // namespace ingot
