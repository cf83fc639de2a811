/* gather_cuda: out[outer, i..., inner] = data[outer, indices[i...], inner]. Each thread moves a unit of what lies
 * behind the axis. */
#include "gather/gather.h"
#include "strided_copy/movement_cuda.h"

namespace ingot {

struct gather {
    static constexpr int threads = 256, blocks = 4;
    using call = ingot::call<3, ingot_gather_params>;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &data = c.arg[0], &indices = c.arg[1], &out = c.arg[2];
        const uint32_t size = element_size(data.dtype), axis = c.params.axis;
        const uint32_t inner = extent_of(data, axis + 1, data.rank) * size, chosen = count_of(indices);
        const uint32_t width = widest_unit(inner | address(data) | address(out));
        const uint32_t units = inner / width, total = count_of(out) / (width / size);
        const uint32_t extent = (uint32_t)data.dims[axis];
        with_unit(width, [&](auto unit) {
            using T = decltype(unit);
            for (uint32_t i = first_thread<threads>(); i < total; i += all_threads<threads>()) {
                const uint32_t item = i / units, outer = item / chosen;
                const int64_t index = index_at(indices, item - outer * chosen, (int32_t)extent);
                if (index < 0) {
                    report(c.tail);
                } else {
                    const int64_t from = ((int64_t)outer * extent + index) * units + (i - item * units);
                    pointer<T>(out)[i] = pointer<const T>(data)[from];
                }
            }
        });
    }
};

} // namespace ingot
