/* Convolutions of single pixels, in steps of one and without padding: products of the image's rows, as in gemm.cu, whose
 * operands tensor maps bring: on sm_90a. */
#include "conv.h"
#include "cuda_gemm_tma_finish.h"

#if defined(INGOT_WARP_GROUPS)
namespace ingot {

/* weights are [O][channels], padded to whole chunks; pixels of the result lie as those of the image. */
template <class T, class Tile, class Finish>
DEVICE void point_product(const Finish &finish, const ingot_cuda_arg &x, const ingot_cuda_arg &w,
                          const ingot_cuda_arg &out, const tensor_map (&map)[2]) {
    INGOT_DYNAMIC_SHARED(shared);
    int rows = 1;
    for (uint32_t i = 0; i + 1 < out.rank; i++) rows *= out.dims[i];
    tma_product<T, Tile>(finish, rows, out.dims[out.rank - 1], {x.dims[x.rank - 1], w.dims[1], 1}, map[0], map[1],
                         shared);
}

/* Operands: x, weights, bias, residual, result; half. */
template <class T, int KIND, class Tile> struct conv_tma {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true;
    using call = mapped_call<5, ingot_conv_params, 2>;

    static DEVICE void run(const call &c) {
        const real_finish<KIND, T> finish(c.arg[2], c.arg[3], c.arg[4], c.params.activation);
        point_product<T, Tile>(finish, c.arg[0], c.arg[1], c.arg[4], c.map);
    }
};

/* Operands: x, weights, bias, residual, sums of weights, scale, result; exact integers. */
template <class Tile> struct conv_tma_s8 {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true;
    using call = mapped_call<7, ingot_conv_s8_params, 2>;

    static DEVICE void run(const call &c) {
        const s8_finish finish(c.arg[2], c.arg[3], c.arg[4], c.arg[5], c.arg[6], c.params.numbers,
                               c.params.conv.activation);
        point_product<int8_t, Tile>(finish, c.arg[0], c.arg[1], c.arg[6], c.map);
    }
};

} // namespace ingot
#endif
