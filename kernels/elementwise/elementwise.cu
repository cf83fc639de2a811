/* A generated function over broadcast operands. cuda.py makes of a program
 *
 *     struct ew_program {
 *         using inputs = ew_types<float, int8_t>;
 *         using result = float;
 *         static DEVICE result of(const ingot_ew_insn *insns, float v0, int8_t v1);
 *     };
 *
 * and of the operands' shapes
 *
 *     struct ew_shape {
 *         static constexpr int groups = 2;                   // of the output's axes
 *         static constexpr int begin(int group);             // its first axis; 8 behind the last group
 *         static constexpr uint32_t has(int input);          // bit g: the input has the axes of group g, else it
 *     };                                                     // broadcasts over all of them
 *
 * Vectors of VEC elements lie within the last group; whether operands are aligned to them is seen at run time. */
#include "elementwise/elementwise_cuda.h"

namespace ingot {

template <class T, int N> struct alignas(N * sizeof(T)) ew_lanes { T at[N]; };

template <int... K> struct ew_numbers {};
template <int N, int... K> struct ew_count : ew_count<N - 1, N - 1, K...> {};
template <int... K> struct ew_count<0, K...> { using type = ew_numbers<K...>; };

template <class T> struct ew_length;
template <class... T> struct ew_length<ew_types<T...>> { static constexpr int value = sizeof...(T); };

template <class Program, class Shape, int VEC> struct elementwise {
    static constexpr int threads = 256, blocks = 1;
    static constexpr int inputs = ew_length<typename Program::inputs>::value, last = Shape::groups - 1;
    static constexpr uint32_t all = (1u << Shape::groups) - 1;
    using call = ingot::call<inputs + 1, ingot_elementwise_params>;
    using result = typename Program::result;
    using numbers = typename ew_count<inputs>::type;

    /* Where an element of the output lies, in each group and altogether. */
    struct place {
        uint32_t index, in_group[Shape::groups];
    };

    static DEVICE place find(uint32_t index, const uint32_t (&extent)[Shape::groups]) {
        place p;
        p.index = index;
#pragma unroll
        for (int g = last; g >= 0; g--) {
            p.in_group[g] = g ? index % extent[g] : index;
            index = g ? index / extent[g] : 0;
        }
        return p;
    }

    template <int INPUT> static DEVICE uint32_t offset(const place &p, const uint32_t (&extent)[Shape::groups]) {
        constexpr uint32_t has = Shape::has(INPUT);
        if (has == all) return p.index;
        uint32_t at = 0, stride = 1;
#pragma unroll
        for (int g = last; g >= 0; g--) {
            if (has >> g & 1) {
                at += p.in_group[g] * stride;
                stride *= extent[g];
            }
        }
        return at;
    }

    template <int W, int INPUT, class T>
    static DEVICE ew_lanes<T, W> load(const call &c, const place &p, const uint32_t (&extent)[Shape::groups]) {
        const T *from = static_cast<const T *>(c.arg[INPUT].data) + offset<INPUT>(p, extent);
        if constexpr ((Shape::has(INPUT) >> last & 1) != 0) return *reinterpret_cast<const ew_lanes<T, W> *>(from);
        ew_lanes<T, W> x;
#pragma unroll
        for (int i = 0; i < W; i++) x.at[i] = *from;
        return x;
    }

    template <int W, class... T> static DEVICE void store(const call &c, uint32_t index, const ew_lanes<T, W> &...x) {
        ew_lanes<result, W> y;
#pragma unroll
        for (int i = 0; i < W; i++) y.at[i] = Program::of(c.params.insns, x.at[i]...);
        *reinterpret_cast<ew_lanes<result, W> *>(static_cast<result *>(c.arg[inputs].data) + index) = y;
    }

    /* Elements [index, index + W). */
    template <int W, class... T, int... K>
    static DEVICE void compute(const call &c, uint32_t index, const uint32_t (&extent)[Shape::groups], ew_types<T...>,
                               ew_numbers<K...>) {
        const place p = find(index, extent);
        store<W>(c, index, load<W, K, T>(c, p, extent)...);
    }

    template <class... T, int... K> static DEVICE bool is_aligned(const call &c, ew_types<T...>, ew_numbers<K...>) {
        const bool in = (true && ... &&
                         ((Shape::has(K) >> last & 1) == 0 || ((uintptr_t)c.arg[K].data & (VEC * sizeof(T) - 1)) == 0));
        return in && ((uintptr_t)c.arg[inputs].data & (VEC * sizeof(result) - 1)) == 0;
    }

    static DEVICE void run(const call &c) {
        uint32_t extent[Shape::groups], total = 1, done = 0;
#pragma unroll
        for (int g = 0; g < Shape::groups; g++) {
            extent[g] = 1;
#pragma unroll
            for (int axis = 0; axis < 8; axis++) {
                if (axis >= Shape::begin(g) && axis < Shape::begin(g + 1)) {
                    extent[g] *= (uint32_t)c.arg[inputs].dims[axis];
                }
            }
            total *= extent[g];
        }
        constexpr typename Program::inputs types{};
        const uint32_t first = blockIdx.x * threads + threadIdx.x, step = gridDim.x * threads;
        if constexpr (VEC > 1) {
            if ((last == 0 || extent[last] % VEC == 0) && is_aligned(c, types, numbers{})) {
                done = total - total % VEC;
                for (uint32_t i = first; i < done / VEC; i += step) compute<VEC>(c, i * VEC, extent, types, numbers{});
            }
        }
        for (uint32_t i = done + first; i < total; i += step) compute<1>(c, i, extent, types, numbers{});
    }
};

} // namespace ingot
