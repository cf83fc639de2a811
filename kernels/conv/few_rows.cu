/* Pointwise convolutions of up to eight pixels. */
#include "conv.h"
#include "cuda_few_rows.h"

namespace ingot {

DEVICE int pixels_of(const ingot_cuda_arg &x) {
    int pixels = 1;
    for (uint32_t i = 0; i + 1 < x.rank; i++) pixels *= x.dims[i];
    return pixels;
}

template <class T, class X, int KIND, class Tile> struct conv_few {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    using call = ingot::call<5, ingot_conv_params>;

    static DEVICE void run(const call &c) {
        few_real<T, X, KIND, Tile>(c, c.params.activation, pixels_of(c.arg[0]), c.arg[0].dims[c.arg[0].rank - 1]);
    }
};

template <class Tile> struct conv_few_s8 {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    using call = ingot::call<7, ingot_conv_s8_params>;

    static DEVICE void run(const call &c) {
        few_s8<Tile>(c, c.params.numbers, c.params.conv.activation, pixels_of(c.arg[0]),
                     c.arg[0].dims[c.arg[0].rank - 1]);
    }
};

} // namespace ingot
