/* Convolution in groups as matrix products, one for each bundle of groups: blocks of one lie side by side in the grid,
 * bundles behind each other along z. Groups are bundled until they fill a tile; what a group does not read of another
 * one of its bundle has weights of zero.
 *
 * weights: [O][taps][channels of a bundle, padded to whole chunks of 16 bytes]. */
#include "conv.h"
#include "cuda_gemm_core.h"
#include "cuda_gemm_finish.h"
#include "cuda_windows.h"

namespace ingot {

/* The channels of a bundle, and the columns of the result that are a block's. */
template <class Tile> struct bundle_place {
    int rows, channels, columns, first_channel, first_column;
    tile_place<Tile> at;

    static DEVICE int rows_of(const ingot_cuda_arg &out) {
        int rows = 1;
        for (uint32_t i = 0; i + 1 < out.rank; i++) rows *= out.dims[i];
        return rows;
    }
    DEVICE bundle_place(const ingot_cuda_arg &x, const ingot_cuda_arg &out)
        : rows(rows_of(out)), channels(x.dims[x.rank - 1] / (int)gridDim.z),
          columns(out.dims[out.rank - 1] / (int)gridDim.z), first_channel((int)blockIdx.z * channels),
          first_column((int)blockIdx.z * columns), at(rows, columns) {}
    DEVICE int column() const { return first_column + at.column; }
    DEVICE rows_in_order in_order() const { return {at.row, rows - at.row}; }
    /* Leaves to other blocks what is theirs. */
    DEVICE void bound(finish_share<Tile> &mine) const {
        const int left = columns - at.column - mine.column;
        mine.count = left < 0 ? 0 : left < mine.count ? left : mine.count;
    }
};

/* Makes the sums of a tile, and leaves them at the begin of the shared memory. */
template <class T, class X, class Core, class Tile, class Finish>
DEVICE void bundle_sums(packed_weights<T, Tile> &b, int steps, const ingot_cuda_arg &image, const ingot_cuda_arg &out,
                        const ingot_conv_params &p, const bundle_place<Tile> &place, int8_t fill, uint8_t *shared,
                        Finish &finish) {
    image_extents e(image, out);
    e.channels = place.channels;
    ingot_cuda_arg x; /* where its channels lie */
    x.data = static_cast<X *>(image.data) + place.first_channel;
    x.pitch = image.pitch;
    Core core;
    image_windows<T, X, Tile> a(x, e, p, place.rows, place.at.row, fill, shared + Tile::stages * Tile::stage_bytes);
    multiply_tile<Tile>(core, a, b, shared, steps, finish);
    core.place(reinterpret_cast<typename Core::sum *>(shared));
}

/* Operands: x, weights, bias, residual, result; float32 or half. */
template <template <class> class Core, class T, class X, int KIND, class Tile> struct conv_groups {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true; /* weights are constants */
    using call = ingot::call<5, ingot_conv_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[4];
        const bundle_place<Tile> place(c.arg[0], out);
        if (!place.at.exists) return await_kernels();
        const int steps = stages_of<T, Tile>(c.arg[1]);
        packed_weights<T, Tile> b(c.arg[1], place.column(), 0);
        load_ahead<Tile, Core<Tile>>(b, shared, steps);
        await_kernels();
        finish_real<KIND, T, Tile> finish(c.arg[2], c.arg[3], out, place.column(), place.in_order());
        place.bound(finish.mine);
        bundle_sums<T, X, Core<Tile>>(b, steps, c.arg[0], out, c.params, place, 0, shared, finish);
        finish(reinterpret_cast<const float *>(shared), c.params.activation, 1.0f);
    }
};

/* Operands: x, weights, bias, residual, sums of weights, scale, result; exact integers. */
template <template <class> class Core, class Tile> struct conv_groups_s8 {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true; /* weights are constants */
    using call = ingot::call<7, ingot_conv_s8_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[6];
        const bundle_place<Tile> place(c.arg[0], out);
        if (!place.at.exists) return await_kernels();
        const int steps = stages_of<int8_t, Tile>(c.arg[1]);
        packed_weights<int8_t, Tile> b(c.arg[1], place.column(), 0);
        load_ahead<Tile, Core<Tile>>(b, shared, steps);
        finish_s8<Tile> finish(c.arg[2], c.arg[3], c.arg[4], c.arg[5], out, c.params.numbers, c.params.conv.activation,
                               place.column(), place.in_order());
        place.bound(finish.mine);
        await_kernels();
        bundle_sums<int8_t, int8_t, Core<Tile>>(b, steps, c.arg[0], out, c.params.conv, place,
                                                (int8_t)c.params.numbers.input_zero, shared, finish);
        finish(reinterpret_cast<const int32_t *>(shared));
    }
};

} // namespace ingot
