/* trilu_cuda: matrices with everything on the wrong side of a diagonal set to zero. Each thread does an element, so
 * that the output may be the input. */
#include "strided_copy/movement_cuda.h"
#include "trilu/trilu.h"

namespace ingot {

/* INPUTS is 2 where the diagonal is an operand, present or not. */
template <int INPUTS> struct trilu {
    static constexpr int threads = 256, blocks = 4;
    using call = ingot::call<INPUTS + 1, ingot_trilu_params>;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &in = c.arg[0], &out = c.arg[INPUTS];
        const uint32_t total = count_of(out), width = last_extent(out), height = (uint32_t)out.dims[out.rank - 2];
        int64_t diagonal = 0;
        if (INPUTS == 2 && c.arg[1].data) diagonal = *pointer<const int64_t>(c.arg[1]);
        /* beyond the corners all diagonals are alike, and sums stay small */
        diagonal = diagonal < -(int64_t)height ? -(int64_t)height : diagonal > width ? width : diagonal;
        with_unit(element_size(in.dtype), [&](auto unit) {
            using T = decltype(unit);
            for (uint32_t i = first_thread<threads>(); i < total; i += all_threads<threads>()) {
                const uint32_t row = i / width;
                const int64_t right = (int64_t)(i - row * width) - row % height - diagonal; /* of the diagonal */
                const bool stays = c.params.upper ? right >= 0 : right <= 0;
                pointer<T>(out)[i] = stays ? pointer<const T>(in)[i] : T{};
            }
        });
    }
};

} // namespace ingot
