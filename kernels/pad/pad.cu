/* pad_cuda: adds (or, with negative amounts, takes away) elements at both ends of each axis. Axes behind the last
 * padded one are a run that moves as a whole, in units as wide as it and the addresses allow; each thread does a unit.
 */
#include "pad/pad.h"
#include "strided_copy/movement_cuda.h"

namespace ingot {

struct pad {
    static constexpr int threads = 256, blocks = 4;
    using call = ingot::call<2, ingot_pad_params>;

    /* The axes that are looked up: all up to the last one whose extent or start changes. */
    static DEVICE uint32_t padded_axes(const call &c, bool dense) {
        const ingot_cuda_arg &in = c.arg[0], &out = c.arg[1];
        uint32_t axes = in.rank;
        const uint32_t least = dense || axes == 0 ? 0 : axes - 1; /* rows with gaps: a run ends with the row */
#pragma unroll 1
        while (axes > least && c.params.before[axes - 1] == 0 && in.dims[axes - 1] == out.dims[axes - 1]) axes--;
        return axes;
    }

    /* The input index that is shown at index `i`, counted from the first element of the input; -1: the constant. */
    static DEVICE int32_t source(int32_t i, int32_t extent, uint32_t mode) {
        if (i >= 0 && i < extent) return i;
        int32_t period = extent;
        switch (mode) {
        case INGOT_PAD_EDGE: return i < 0 ? 0 : extent - 1;
        case INGOT_PAD_WRAP: i %= period; return i < 0 ? i + period : i;
        case INGOT_PAD_REFLECT:
            period = extent > 1 ? 2 * (extent - 1) : 1;
            i %= period;
            i += i < 0 ? period : 0;
            return i < extent ? i : period - i;
        default: return -1;
        }
    }

    /* The constant, as often as it fits. */
    template <class T> static DEVICE T constant(const call &c, uint32_t size) {
        uint64_t word = 0;
#pragma unroll
        for (uint32_t k = 0; k < 8; k++) word |= (uint64_t)c.params.value[k & (size - 1)] << 8 * k;
        T value;
        if constexpr (sizeof(T) == 16) {
            value = {{word, word}};
        } else {
            value = (T)word;
        }
        return value;
    }

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &in = c.arg[0], &out = c.arg[1];
        const uint32_t size = element_size(in.dtype), rank = in.rank;
        const bool dense = in.pitch == last_extent(in) && out.pitch == last_extent(out);
        const uint32_t axes = padded_axes(c, dense), run = extent_of(out, axes, rank);
        const uint64_t gaps = dense ? 0 : (uint64_t)(in.pitch | out.pitch) * size;
        const uint32_t width = widest_unit((uint64_t)run * size | address(in) | address(out) | gaps);
        const uint32_t units = run * size / width, total = extent_of(out, 0, axes) * units;
        /* elements from one index of the last padded axis to the next */
        const int64_t in_step = dense || axes == rank ? run : in.pitch;
        const int64_t out_step = dense || axes == rank ? run : out.pitch;
        with_unit(width, [&](auto unit) {
            using T = decltype(unit);
            const T value = constant<T>(c, size);
            const uint32_t shift = unit_shift(sizeof(T), size);
            for (uint32_t i = first_thread<threads>(); i < total; i += all_threads<threads>()) {
                uint32_t rest = i / units;
                int64_t from = 0, to = 0, in_stride = in_step, out_stride = out_step;
                bool inside = true;
#pragma unroll 1
                for (uint32_t axis = axes; axis-- > 0;) {
                    const uint32_t extent = (uint32_t)out.dims[axis], next = rest / extent,
                                   index = rest - next * extent;
                    const int32_t at = source((int32_t)(index - c.params.before[axis]), in.dims[axis], c.params.mode);
                    inside = inside && at >= 0;
                    from += at * in_stride;
                    to += index * out_stride;
                    in_stride *= axis + 1 == rank ? in.pitch : in.dims[axis];
                    out_stride *= axis + 1 == rank ? out.pitch : out.dims[axis];
                    rest = next;
                }
                const uint32_t within = i % units;
                pointer<T>(out)[(to >> shift) + within] =
                    inside ? pointer<const T>(in)[(from >> shift) + within] : value;
            }
        });
    }
};

} // namespace ingot
