/* Convolution whose windows lie side by side, as those that cut an image into patches: a line of a window is one run of
 * elements, so the image is one of fewer, wider pixels, and windows have one tap a line.
 *
 * weights: [O][lines of a window][its width x channels], which is a whole number of chunks. x has no gaps. */
#include "conv.h"
#include "cuda_gemm_core.h"
#include "cuda_gemm_finish.h"
#include "cuda_gemm_split.h"
#include "cuda_windows.h"

namespace ingot {

/* The same convolution of the image with wide pixels. */
struct patch_view {
    ingot_cuda_arg x; /* where it lies */
    image_extents e;
    ingot_conv_params p;

    DEVICE patch_view(const ingot_cuda_arg &image, const ingot_cuda_arg &out, const ingot_conv_params &params)
        : e(image, out), p(params) {
        const int width = params.kernel[2];
        x.data = image.data;
        x.pitch = image.pitch * width;
        e.in[2] /= width;
        e.channels *= width;
        p.kernel[2] = p.strides[2] = 1;
    }
};

/* Makes the sums of a tile, and leaves them at the begin of the shared memory. Whether this block finishes it. */
template <class T, class X, class Core, class Tile>
DEVICE bool patch_sums(const ingot_cuda_arg &image, const ingot_cuda_arg &w, const ingot_cuda_arg &out,
                       const ingot_conv_params &params, const ingot_cuda_tail &tail, const tile_place<Tile> &at,
                       int rows, uint8_t *shared) {
    const depth_part part = split_depth((int)((w.pitch * (int64_t)sizeof(T) + Tile::bytes - 1) / Tile::bytes));
    packed_weights<T, Tile> b(w, at.column);
    b.skip(part.first);
    load_ahead<Tile, Core>(b, shared, part.count);
    const patch_view view(image, out, params);
    Core core;
    image_windows<T, X, Tile> a(view.x, view.e, view.p, rows, at.row, 0, shared + Tile::stages * Tile::stage_bytes);
    if (part.first > 0) a.skip(part.first);
    multiply_tile<Tile>(core, a, b, shared, part.count);
    typename Core::sum *const sums = reinterpret_cast<typename Core::sum *>(shared);
    core.place(sums);
    return join_parts<Tile>(sums, tail, at, rows, out.dims[out.rank - 1]);
}

DEVICE int patch_rows(const ingot_cuda_arg &out) {
    int rows = 1;
    for (uint32_t i = 0; i + 1 < out.rank; i++) rows *= out.dims[i];
    return rows;
}

/* Operands: x, weights, bias, residual, result; float32 or half. */
template <template <class> class Core, class T, class X, int KIND, class Tile> struct conv_patches {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    using call = ingot::call<5, ingot_conv_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[4];
        const int rows = patch_rows(out);
        const tile_place<Tile> at(rows, out.dims[out.rank - 1]);
        if (!at.exists) return;
        finish_real<KIND, T, Tile> finish(c.arg[2], c.arg[3], out, at, 0, rows);
        if (!patch_sums<T, X, Core<Tile>>(c.arg[0], c.arg[1], out, c.params, c.tail, at, rows, shared)) return;
        finish(reinterpret_cast<const float *>(shared), c.params.activation, 1.0f);
    }
};

/* Operands: x, weights, bias, residual, sums of weights, scale, result; exact integers. */
template <template <class> class Core, class Tile> struct conv_patches_s8 {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    using call = ingot::call<7, ingot_conv_s8_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[6];
        const int rows = patch_rows(out);
        const tile_place<Tile> at(rows, out.dims[out.rank - 1]);
        if (!at.exists) return;
        finish_s8<Tile> finish(c.arg[2], c.arg[3], c.arg[4], c.arg[5], out, at, 0, rows);
        if (!patch_sums<int8_t, int8_t, Core<Tile>>(c.arg[0], c.arg[1], out, c.params.conv, c.tail, at, rows, shared))
            return;
        finish(reinterpret_cast<const int32_t *>(shared), c.params.numbers, c.params.conv.activation);
    }
};

} // namespace ingot
