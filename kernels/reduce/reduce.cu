/* reduce: of float32, of float16 and bfloat16 in float32, of float64, and of integers, which wrap. */
#include "reduce/few_rows_cuda.h"
#include "reduce/reduce_cuda.h"
#include "vmath.h"

namespace ingot {

DEVICE float log_of(float x) { return ingot_log_f32(x); }
DEVICE double log_of(double x) { return log_f64(x); }
DEVICE float exp_of(float x) { return ingot_exp_f32(x); }
DEVICE double exp_of(double x) { return exp_f64(x); }
DEVICE float root_of(float x) { return __builtin_sqrtf(x); }
DEVICE double root_of(double x) { return __builtin_sqrt(x); }

/* What sums of a type are made in, and its least and largest number. */
template <class T, class Acc, class Sums> struct reduce_numbers_of {
    using acc = Acc;
    using sums = Sums; /* unsigned: integers wrap */
};
template <class T> struct reduce_numbers : reduce_numbers_of<T, float, float> {
    static constexpr bool real = true;
    static DEVICE float least() { return -__builtin_inff(); }
    static DEVICE float most() { return __builtin_inff(); }
};
template <> struct reduce_numbers<double> : reduce_numbers_of<double, double, double> {
    static constexpr bool real = true;
    static DEVICE double least() { return -(double)__builtin_inff(); }
    static DEVICE double most() { return (double)__builtin_inff(); }
};
template <> struct reduce_numbers<int32_t> : reduce_numbers_of<int32_t, int32_t, uint32_t> {
    static constexpr bool real = false;
    static DEVICE int32_t least() { return (int32_t)0x80000000u; }
    static DEVICE int32_t most() { return 0x7fffffff; }
};
template <> struct reduce_numbers<int64_t> : reduce_numbers_of<int64_t, int64_t, uint64_t> {
    static constexpr bool real = false;
    static DEVICE int64_t least() { return (int64_t)((uint64_t)1 << 63); }
    static DEVICE int64_t most() { return (int64_t)(((uint64_t)1 << 63) - 1); }
};
template <> struct reduce_numbers<int8_t> : reduce_numbers_of<int8_t, int32_t, uint32_t> {
    static constexpr bool real = false;
    static DEVICE int32_t least() { return -128; }
    static DEVICE int32_t most() { return 127; }
};
template <> struct reduce_numbers<uint8_t> : reduce_numbers_of<uint8_t, int32_t, uint32_t> {
    static constexpr bool real = false;
    static DEVICE int32_t least() { return 0; }
    static DEVICE int32_t most() { return 255; }
};

template <class In, class Out, int KIND> struct reduce_fold {
    using in = In;
    using out = Out;
    using params = ingot_reduce_params;
    using numbers = reduce_numbers<In>;
    using acc = typename numbers::acc;
    using sums = typename numbers::sums;
    static constexpr bool shifts = KIND == INGOT_REDUCE_LOG_SUM_EXP;
    static constexpr bool orders = KIND == INGOT_REDUCE_MAX || KIND == INGOT_REDUCE_MIN;
    int count;
    uint32_t dtype;

    static DEVICE const ingot_reduce_params &reduce_of(const params &p) { return p; }
    DEVICE reduce_fold(const params &, int count, uint32_t dtype) : count(count), dtype(dtype) {}
    static DEVICE acc number(In x) {
        if constexpr (numbers::real) {
            return convert<acc>(x);
        } else {
            return x;
        }
    }
    static DEVICE acc plus(acc a, acc b) { return (acc)((sums)a + (sums)b); }
    static DEVICE acc times(acc a, acc b) { return (acc)((sums)a * (sums)b); }
    /* A NaN wins, as in NumPy. */
    static DEVICE acc greatest(acc a, acc x) { return x > a || x != x ? x : a; }
    static DEVICE acc smallest(acc a, acc x) { return x < a || x != x ? x : a; }

    DEVICE acc init() const {
        if (KIND == INGOT_REDUCE_MAX) return numbers::least();
        if (KIND == INGOT_REDUCE_MIN) return dtype == 13 /* bool */ ? (acc)1 : numbers::most();
        return KIND == INGOT_REDUCE_PROD ? (acc)1 : (acc)0;
    }
    DEVICE acc step(acc a, In e, acc shift) const {
        const acc x = number(e);
        if constexpr (shifts) return a + exp_of(x - shift);
        if (KIND == INGOT_REDUCE_L1) return plus(a, x < 0 ? (acc)((sums)0 - (sums)x) : x);
        if (KIND == INGOT_REDUCE_L2 || KIND == INGOT_REDUCE_SUM_SQUARE) return plus(a, times(x, x));
        return join(a, x);
    }
    DEVICE acc join(acc a, acc b) const {
        if (KIND == INGOT_REDUCE_MAX) return greatest(a, b);
        if (KIND == INGOT_REDUCE_MIN) return smallest(a, b);
        return KIND == INGOT_REDUCE_PROD ? times(a, b) : plus(a, b);
    }
    DEVICE acc most_init() const { return numbers::least(); }
    DEVICE acc most(acc a, In e) const { return greatest(a, number(e)); }
    DEVICE acc most_join(acc a, acc b) const { return greatest(a, b); }
    DEVICE acc shift_of(acc x) const { return x - x == 0 ? x : (acc)0; /* an infinite one would give inf - inf */ }

    DEVICE Out finish(acc a, acc shift) const {
        if constexpr (numbers::real) {
            acc x = a;
            if (KIND == INGOT_REDUCE_MEAN) x = a / (acc)count;
            if (KIND == INGOT_REDUCE_L2) x = root_of(a);
            if (KIND == INGOT_REDUCE_LOG_SUM) x = log_of(a);
            if (shifts) x = log_of(a) + shift;
            return convert<Out>(x);
        } else {
            if (KIND == INGOT_REDUCE_MEAN) return count > 0 ? (Out)((int64_t)a / count) : (Out)0;
            if (KIND == INGOT_REDUCE_L2) return (Out)__builtin_sqrt((double)a);
            return (Out)a;
        }
    }
};

} // namespace ingot
