/* pool_s8, averages: sums of int8 are exact, then multiplied and stored; or, of models that arrive quantised, sums in
 * binary32 from the first element to the last. The bits are those of pool_s8_cpu.c. */
#include "cuda_store_s8.h"
#include "pool/pool_cuda.h"

namespace ingot {

DEVICE double pool_s8_count(const ingot_pool_s8_params &p, int64_t inside, double counted) {
    return p.pool.kind == INGOT_POOL_AVERAGE_PADDED ? counted : (double)inside;
}

template <class Out> struct pool_s8_average {
    using in = int8_t;
    using out = Out;
    using acc = int32_t;
    using params = ingot_pool_s8_params;
    const params &p;

    static DEVICE const ingot_pool_params &pool_of(const params &p) { return p.pool; }
    DEVICE pool_s8_average(const params &p) : p(p) {}
    DEVICE int32_t init() const { return 0; }
    DEVICE int32_t step(int32_t a, int8_t x) const { return a + x; }
    struct end {
        ingot_requantize q;
        uint32_t offset;
        DEVICE end(const pool_s8_average &fold, int64_t inside, double counted) {
            const double count = pool_s8_count(fold.p, inside, counted);
            q = ingot_s8_result(&fold.p.scales, count > 0.0 ? ingot_s8_multiplier(&fold.p.scales, count) : 0.0f);
            offset = (uint32_t)inside * (uint32_t)fold.p.scales.input_zero;
        }
        DEVICE Out of(int32_t a) const { return finish_s8<Out>(q, (float)(int32_t)((uint32_t)a - offset)); }
    };
};

struct pool_s8_model {
    using in = int8_t;
    using out = int8_t;
    using acc = float;
    using params = ingot_pool_s8_params;
    const params &p;
    int32_t zero;
    float scale;

    static DEVICE const ingot_pool_params &pool_of(const params &p) { return p.pool; }
    DEVICE pool_s8_model(const params &p) : p(p), zero(p.scales.input_zero), scale((float)p.scales.input_scale) {}
    DEVICE float init() const { return 0.0f; }
    DEVICE float step(float a, int8_t x) const { return a + (float)(x - zero) * scale; }
    struct end {
        ingot_linear_s8 linear;
        DEVICE end(const pool_s8_model &fold, int64_t inside, double counted) {
            const double count = pool_s8_count(fold.p, inside, counted);
            linear = ingot_s8_linear(&fold.p.scales, fold.p.model);
            linear.divisor = count > 0.0 ? (float)count : 1.0f;
        }
        DEVICE int8_t of(float a) const { return finish_linear_s8(linear, a); }
    };
};

} // namespace ingot
