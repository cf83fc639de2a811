/* Matrix products by a packed constant, as in gemm.cu, whose operands tensor maps bring: on sm_90a. */
#include "cuda_gemm_tma_finish.h"
#include "matmul.h"
#include "matmul_batch.h"

#if defined(INGOT_WARP_GROUPS)
namespace ingot {

/* b is [N][parts x padded]: rows of whole chunks of 16 bytes. */
template <class T> DEVICE tma_depth depth_of(const ingot_cuda_arg &a, const ingot_cuda_arg &b) {
    constexpr int vec = 16 / (int)sizeof(T);
    const int depth = a.dims[a.rank - 1], padded = (depth + vec - 1) / vec * vec;
    return {depth, padded, padded > 0 ? b.dims[1] / padded : 1};
}

/* Operands: a, packed b, bias, residual, result; half. */
template <class T, int KIND, class Tile> struct matmul_tma {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true;
    using call = mapped_call<5, ingot_matmul_params, 2>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[4];
        const real_finish<KIND, T> finish(c.arg[2], c.arg[3], out, c.params.activation);
        tma_product<T, Tile>(finish, stacked_rows(out), out.dims[out.rank - 1], depth_of<T>(c.arg[0], c.arg[1]),
                             c.map[0], c.map[1], shared);
    }
};

/* Operands: a, packed b, bias, residual, sums of the columns of b, scale, result; exact integers. */
template <class Tile> struct matmul_tma_s8 {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true;
    using call = mapped_call<7, ingot_matmul_s8_params, 2>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[6];
        const s8_finish finish(c.arg[2], c.arg[3], c.arg[4], c.arg[5], out, c.params.numbers,
                               c.params.matmul.activation);
        tma_product<int8_t, Tile>(finish, stacked_rows(out), out.dims[out.rank - 1],
                                  depth_of<int8_t>(c.arg[0], c.arg[1]), c.map[0], c.map[1], shared);
    }
};

} // namespace ingot
#endif
