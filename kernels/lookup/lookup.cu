/* lookup_cuda: every int8 is replaced by its entry of a table. */
#include "lookup/lookup.h"

namespace ingot {

struct lookup {
    static constexpr int threads = 256;
    static constexpr int blocks = 4;
    static constexpr int at_once = 16;
    using call = ingot::call<3, ingot_lookup_params>;

    struct alignas(at_once) bytes {
        int8_t at[at_once];
    };

    static DEVICE void run(const call &c) {
        INGOT_SHARED(int8_t, table, [256]);
        const int8_t *x = static_cast<const int8_t *>(c.arg[0].data);
        int8_t *y = static_cast<int8_t *>(c.arg[2].data);
        int64_t count = 1;
        for (int axis = 0; axis < 8; axis++) count *= c.arg[2].dims[axis];
        table[threadIdx.x] = static_cast<const int8_t *>(c.arg[1].data)[threadIdx.x];
        sync_block();
        /* x may be y: each thread writes what it has read */
        const int64_t step = (int64_t)gridDim.x * threads * at_once;
        const bool wide = (((uintptr_t)x | (uintptr_t)y) & (at_once - 1)) == 0;
        for (int64_t i = ((int64_t)blockIdx.x * threads + threadIdx.x) * at_once; i < count; i += step) {
            if (wide && i + at_once <= count) {
                bytes b = *reinterpret_cast<const bytes *>(x + i);
#pragma unroll
                for (int k = 0; k < at_once; k++) b.at[k] = table[b.at[k] + 128];
                *reinterpret_cast<bytes *>(y + i) = b;
            } else {
                for (int64_t k = i; k < i + at_once && k < count; k++) y[k] = table[x[k] + 128];
            }
        }
    }
};

} // namespace ingot
