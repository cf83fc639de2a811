/* scatter_elements_cuda: the data, with out[i, indices[i, j, k], k] replaced by (or combined with) updates[i, j, k] for
 * the axis in the middle. REDUCTION is an ingot_scatter_reduction; without one T is any type of that size. */
#include "scatter_elements/scatter_elements.h"
#include "scatter_nd/scatter_cuda.h"

namespace ingot {

template <class T, int REDUCTION> struct scatter_elements {
    static constexpr int threads = SCATTER_THREADS, blocks = 4;
    using call = ingot::call<4, ingot_scatter_elements_params>;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &data = c.arg[0], &indices = c.arg[1], &updates = c.arg[2], &out = c.arg[3];
        const scatter_extents extents = {count_of(indices), count_of(out), 1};
        const auto place_of = [&](uint32_t item) -> int64_t {
            const int64_t index = index_at(indices, item, out.dims[c.params.axis]);
            if (index < 0) return -1;
            int64_t place = 0, stride = 1;
#pragma unroll 1
            for (uint32_t axis = out.rank; axis-- > 0;) {
                const uint32_t extent = (uint32_t)indices.dims[axis], next = item / extent;
                place += (axis == c.params.axis ? index : (int64_t)(item - next * extent)) * stride;
                stride *= out.dims[axis];
                item = next;
            }
            return place;
        };
        scatter<REDUCTION>(c.tail, extents, pointer<const T>(data), pointer<const T>(updates), pointer<T>(out),
                           place_of);
    }
};

} // namespace ingot
