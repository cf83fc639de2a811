/* scatter_nd_cuda: the data, with the slice that each index tuple names replaced by (or combined with) an update.
 * REDUCTION is an ingot_scatter_reduction; without one T is any type of that size. */
#include "scatter_nd/scatter_cuda.h"

namespace ingot {

template <class T, int REDUCTION> struct scatter_nd {
    static constexpr int threads = SCATTER_THREADS, blocks = 4;
    using call = ingot::call<4, ingot_scatter_nd_params>;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &data = c.arg[0], &indices = c.arg[1], &updates = c.arg[2], &out = c.arg[3];
        const uint32_t tuple = last_extent(indices);
        if (count_of(out) == 0) return;
        const scatter_extents extents = {extent_of(indices, 0, indices.rank - 1), extent_of(out, 0, tuple),
                                         extent_of(out, tuple, out.rank)};
        const auto place_of = [&](uint32_t item) -> int64_t {
            int64_t place = 0;
#pragma unroll 1
            for (uint32_t k = 0; k < tuple; k++) {
                const int64_t index = index_at(indices, item * tuple + k, out.dims[k]);
                if (index < 0) return -1;
                place = place * out.dims[k] + index;
            }
            return place;
        };
        scatter<REDUCTION>(c.tail, extents, pointer<const T>(data), pointer<const T>(updates), pointer<T>(out),
                           place_of);
    }
};

} // namespace ingot
