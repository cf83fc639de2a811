/* reduce_s8: sums of int8 less the zero points are exact; then they are multiplied by scale / count and stored. The
 * bits are those of reduce_s8_cpu.c. */
#include "cuda_store_s8.h"
#include "reduce/few_rows_cuda.h"
#include "reduce/reduce_cuda.h"

namespace ingot {

template <class Out> struct reduce_s8_fold {
    using in = int8_t;
    using out = Out;
    using acc = int32_t;
    using params = ingot_reduce_s8_params;
    static constexpr bool shifts = false;
    ingot_requantize q;
    uint32_t offset;

    static DEVICE const ingot_reduce_params &reduce_of(const params &p) { return p.reduce; }
    DEVICE reduce_s8_fold(const params &p, int count, uint32_t) {
        const double parts = p.reduce.kind == INGOT_REDUCE_MEAN ? (double)count : 1.0;
        q = ingot_s8_result(&p.scales, ingot_s8_multiplier(&p.scales, parts));
        offset = (uint32_t)count * (uint32_t)p.scales.input_zero;
    }
    DEVICE int32_t init() const { return 0; }
    DEVICE int32_t step(int32_t a, int8_t x, int32_t) const { return a + x; }
    DEVICE int32_t join(int32_t a, int32_t b) const { return a + b; }
    DEVICE Out finish(int32_t a, int32_t) const { return finish_s8<Out>(q, (float)(int32_t)((uint32_t)a - offset)); }
};

} // namespace ingot
