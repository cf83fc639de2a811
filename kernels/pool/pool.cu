/* pool: maxima, averages and Lp norms of float32, of float16 and bfloat16 in float32, and of float64; maxima of bytes.
 */
#include "pool/pool_cuda.h"
#include "vmath.h"

namespace ingot {

DEVICE float power_of(float x, float y) { return ingot_pow_f32(x, y); }
DEVICE double power_of(double x, double y) { return pow_f64(x, y); }

template <class In, class Out, int KIND> struct pool_fold {
    using in = In;
    using out = Out;
    using acc = real<In>;
    using params = ingot_pool_params;
    uint32_t p;

    static DEVICE const ingot_pool_params &pool_of(const params &p) { return p; }
    DEVICE pool_fold(const params &params) : p(params.p) {}
    DEVICE acc init() const { return KIND == INGOT_POOL_MAX ? (acc)-__builtin_inff() : (acc)0; }
    DEVICE acc step(acc a, In e) const {
        const acc x = convert<acc>(e);
        if (KIND == INGOT_POOL_MAX) return x < a ? a : x;
        if (KIND != INGOT_POOL_LP) return a + x;
        const acc size = x < 0 ? -x : x;
        return a + (p == 1 ? size : p == 2 ? size * size : power_of(size, (acc)p));
    }
    struct end {
        acc scale;
        uint32_t p;
        DEVICE end(const pool_fold &fold, int64_t inside, double counted) : scale(0), p(fold.p) {
            const acc count = KIND == INGOT_POOL_AVERAGE_PADDED ? (acc)counted : (acc)inside;
            scale = count > 0 ? 1 / count : (acc)0;
        }
        DEVICE Out of(acc a) const {
            if (KIND == INGOT_POOL_MAX) return convert<Out>(a);
            if (KIND != INGOT_POOL_LP) return convert<Out>(a * scale);
            return convert<Out>(p == 1 ? a : power_of(a, 1 / (acc)p));
        }
    };
};

/* Maxima of bytes; PARAMS is ingot_pool_s8_params where int8 stands for real numbers. */
template <class T, class PARAMS> struct pool_bytes {
    using in = T;
    using out = T;
    using acc = T;
    using params = PARAMS;

    static DEVICE const ingot_pool_params &pool_of(const ingot_pool_params &p) { return p; }
    static DEVICE const ingot_pool_params &pool_of(const ingot_pool_s8_params &p) { return p.pool; }
    DEVICE pool_bytes(const params &) {}
    DEVICE T init() const { return pool_indices<T>::least(T{}); }
    DEVICE T step(T a, T x) const { return larger(a, x); }
    struct end {
        DEVICE end(const pool_bytes &, int64_t, double) {}
        DEVICE T of(T a) const { return a; }
    };
};

} // namespace ingot
