/* concat_cuda: the inputs one after another along an axis. blockIdx.y says which input a block copies. */
#include "concat/concat.h"
#include "strided_copy/loops_cuda.h"

namespace ingot {

template <int INPUTS> struct concat {
    static constexpr int threads = LOOP_THREADS, blocks = 4;
    using call = ingot::call<INPUTS + 1, ingot_concat_params>;

    static DEVICE void run(const call &c) {
        INGOT_SHARED(move_plan, plan, );
        const ingot_cuda_arg &in = c.arg[blockIdx.y], &out = c.arg[INPUTS];
        if (threadIdx.x == 0) {
            const uint32_t axis = c.params.axis, last = out.rank - 1;
            uint32_t before = 0; /* indices of the axis */
#pragma unroll 1
            for (uint32_t i = 0; i < blockIdx.y; i++) before += (uint32_t)c.arg[i].dims[axis];
            /* All that belongs to one index of the axes in front; the rows of that; a row. */
            const uint32_t outer = extent_of(out, 0, axis), inner = extent_of(out, axis + 1, last);
            const uint32_t from_rows = axis < last ? extent_of(in, axis, last) : 1;
            const uint32_t to_rows = axis < last ? extent_of(out, axis, last) : 1;
            plan.loops[0] = {outer, from_rows * in.pitch, to_rows * out.pitch};
            plan.loops[1] = {from_rows, in.pitch, out.pitch};
            plan.loops[2] = {(uint32_t)in.dims[last], 1, 1};
            plan.count = 3;
            plan.in = 0;
            plan.out = axis < last ? before * inner * out.pitch : before;
        }
        copy_loops(plan, element_size(out.dtype), in.data, out.data);
    }
};

} // namespace ingot
