/* Products of up to eight rows, all matrices of a together, by a packed constant. */
#include "cuda_few_rows.h"
#include "matmul.h"
#include "matmul_batch.h"

namespace ingot {

template <class T, class X, int KIND, class Tile> struct matmul_few {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    using call = ingot::call<5, ingot_matmul_params>;

    static DEVICE void run(const call &c) {
        few_real<T, X, KIND, Tile>(c, c.params.activation, stacked_rows(c.arg[0]), c.arg[0].dims[c.arg[0].rank - 1]);
    }
};

template <class Tile> struct matmul_few_s8 {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    using call = ingot::call<7, ingot_matmul_s8_params>;

    static DEVICE void run(const call &c) {
        few_s8<Tile>(c, c.params.numbers, c.params.matmul.activation, stacked_rows(c.arg[0]),
                     c.arg[0].dims[c.arg[0].rank - 1]);
    }
};

} // namespace ingot
