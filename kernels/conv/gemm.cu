/* Convolution as a matrix product whose left operand is never written out: pixels of the result by windows, times
 * windows by output channels. Without groups.
 *
 * weights: [O][depth], a row padded to whole chunks of 16 bytes; the depth is as cuda_windows.h says. */
#include "conv.h"
#include "cuda_gemm_core.h"
#include "cuda_gemm_finish.h"
#include "cuda_gemm_split.h"
#include "cuda_patches.h"

namespace ingot {

/* How windows are read. */
enum { CONV_POINTS, CONV_CHUNKS, CONV_ELEMENTS, CONV_PATCHES };

/* Makes the sums of a tile, and leaves them at the begin of the shared memory. Whether this block finishes it. Waits
 * for the kernels before when all is known of where the image lies. */
template <int WAY, class T, class X, class Core, class Tile, class Finish>
DEVICE bool conv_sums(packed_weights<T, Tile> &b, const depth_part &part, const ingot_cuda_arg &x,
                      const ingot_cuda_arg &out, const ingot_conv_params &p, const ingot_cuda_tail &tail,
                      const tile_place<Tile> &at, int rows, int8_t fill, uint8_t *shared, Finish &finish) {
    const image_extents e(x, out);
    uint8_t *const tables = shared + Tile::stages * Tile::stage_bytes;
    Core core;
    if constexpr (WAY == CONV_POINTS) {
        matrix_rows<T, X, Tile, Tile::rows> a(static_cast<const X *>(x.data), x.pitch, rows, e.channels, at.row);
        a.skip(part.first);
        await_kernels();
        multiply_tile<Tile>(core, a, b, shared, part.count, finish);
    } else if constexpr (WAY == CONV_CHUNKS) {
        image_windows<T, X, Tile> a(x, e, p, rows, at.row, fill, tables);
        if (part.first > 0) a.skip(part.first);
        await_kernels();
        multiply_tile<Tile>(core, a, b, shared, part.count, finish);
    } else if constexpr (WAY == CONV_PATCHES) {
        const patch_view view(x, out, p);
        image_windows<T, X, Tile> a(view.x, view.e, view.p, rows, at.row, fill, tables);
        if (part.first > 0) a.skip(part.first);
        await_kernels();
        multiply_tile<Tile>(core, a, b, shared, part.count, finish);
    } else {
        image_elements<T, X, Tile> a(x, e, p, rows, at.row, fill, tables);
        a.skip(part.first);
        await_kernels();
        multiply_tile<Tile>(core, a, b, shared, part.count, finish);
    }
    typename Core::sum *const sums = reinterpret_cast<typename Core::sum *>(shared);
    core.place(sums);
    return join_parts<Tile>(sums, tail, at, rows, out.dims[out.rank - 1], finish.groups);
}

/* Operands: x, weights, bias, residual, result; float32 or half. */
template <template <class> class Core, class T, class X, int WAY, int KIND, class Tile> struct conv_gemm {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true;
    using call = ingot::call<5, ingot_conv_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[4];
        const int rows = rows_of(out);
        const tile_place<Tile> at(rows, c.arg[1].dims[0]);
        if (!at.exists) return await_kernels();
        const depth_part part = split_depth<Tile>(stages_of<T, Tile>(c.arg[1]));
        packed_weights<T, Tile> b(c.arg[1], at.column, part.first);
        load_ahead<Tile, Core<Tile>>(b, shared, part.count);
        const finished_rows<Tile> own(at, rows);
        finish_real<KIND, T, Tile> finish(c.arg[2], c.arg[3], out, own, 0, own.end);
        if (!conv_sums<WAY, T, X, Core<Tile>>(b, part, c.arg[0], out, c.params, c.tail, at, rows, 0, shared, finish))
            return;
        finish(own.template of<float>(shared), c.params.activation, 1.0f);
        leave_team<Tile>();
    }
};

/* Operands: x, weights, bias, residual, sums of weights, scale, result; exact integers. */
template <template <class> class Core, int WAY, class Tile> struct conv_gemm_s8 {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true;
    using call = ingot::call<7, ingot_conv_s8_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[6];
        const int rows = rows_of(out);
        const tile_place<Tile> at(rows, c.arg[1].dims[0]);
        if (!at.exists) return await_kernels();
        const depth_part part = split_depth<Tile>(stages_of<int8_t, Tile>(c.arg[1]));
        packed_weights<int8_t, Tile> b(c.arg[1], at.column, part.first);
        load_ahead<Tile, Core<Tile>>(b, shared, part.count);
        const finished_rows<Tile> own(at, rows);
        finish_s8<Tile> finish(c.arg[2], c.arg[3], c.arg[4], c.arg[5], out, c.params.numbers, c.params.conv.activation,
                               own, 0, own.end);
        if (!conv_sums<WAY, int8_t, int8_t, Core<Tile>>(b, part, c.arg[0], out, c.params.conv, c.tail, at, rows,
                                                        (int8_t)c.params.numbers.input_zero, shared, finish))
            return;
        finish(own.template of<int32_t>(shared));
        leave_team<Tile>();
    }
};

} // namespace ingot
