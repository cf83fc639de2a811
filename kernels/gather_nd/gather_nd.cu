/* gather_nd_cuda: each tuple in the last axis of the indices names a slice of the data (of the same batch). Each thread
 * moves a unit of a slice. */
#include "gather_nd/gather_nd.h"
#include "strided_copy/movement_cuda.h"

namespace ingot {

struct gather_nd {
    static constexpr int threads = 256, blocks = 4;
    using call = ingot::call<3, ingot_gather_nd_params>;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &data = c.arg[0], &indices = c.arg[1], &out = c.arg[2];
        const uint32_t size = element_size(data.dtype), batch_dims = c.params.batch_dims, lead = indices.rank - 1;
        const uint32_t tuple = (uint32_t)indices.dims[lead];
        const uint32_t slice = extent_of(data, batch_dims + tuple, data.rank) * size;
        const uint32_t per_batch = extent_of(indices, batch_dims, lead);
        const uint32_t width = widest_unit(slice | address(data) | address(out));
        const uint32_t units = slice / width, total = count_of(out) / (width / size);
        with_unit(width, [&](auto unit) {
            using T = decltype(unit);
            for (uint32_t i = first_thread<threads>(); i < total; i += all_threads<threads>()) {
                const uint32_t item = i / units;
                int64_t from = item / per_batch;
                bool inside = true;
#pragma unroll 1
                for (uint32_t k = 0; k < tuple; k++) {
                    const int32_t extent = data.dims[batch_dims + k];
                    const int64_t index = index_at(indices, item * tuple + k, extent);
                    inside = inside && index >= 0;
                    from = from * extent + index;
                }
                if (inside) {
                    pointer<T>(out)[i] = pointer<const T>(data)[from * units + (i - item * units)];
                } else {
                    report(c.tail);
                }
            }
        });
    }
};

} // namespace ingot
