/* strided_copy_cuda: any view of the input through starts, steps and an order of axes becomes a tensor of its own. */
#include "strided_copy/loops_cuda.h"
#include "strided_copy/strided_copy.h"

namespace ingot {

struct strided_copy {
    static constexpr int threads = LOOP_THREADS, blocks = 4;
    using call = ingot::call<2, ingot_strided_copy_params>;

    /* Elements from one index of an axis to the next. */
    static DEVICE int64_t stride(const ingot_cuda_arg &arg, uint32_t axis) {
        if (axis + 1 >= arg.rank) return 1;
        return arg.pitch * extent_of(arg, axis + 1, arg.rank - 1);
    }

    static DEVICE void run(const call &c) {
        INGOT_SHARED(move_plan, plan, );
        const ingot_cuda_arg &in = c.arg[0], &out = c.arg[1];
        if (threadIdx.x < out.rank) {
            const uint32_t axis = threadIdx.x, from = c.params.axis[axis];
            const int64_t step = from == INGOT_STRIDED_BROADCAST ? 0 : c.params.step[axis] * stride(in, from);
            plan.loops[axis] = {(uint32_t)out.dims[axis], step, stride(out, axis)};
        }
        if (threadIdx.x == 0) {
            int64_t first = 0;
#pragma unroll 1
            for (uint32_t axis = 0; axis < in.rank; axis++) {
                if (c.params.start[axis]) first += c.params.start[axis] * stride(in, axis);
            }
            plan.in = first;
            plan.out = 0;
            plan.count = out.rank;
        }
        copy_loops(plan, element_size(in.dtype), in.data, out.data);
    }
};

} // namespace ingot
