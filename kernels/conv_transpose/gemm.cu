/* Transposed convolution as matrix products: the results of one phase (conv_transpose_shape.h) are those of an ordinary
 * convolution that moves by one, with the taps of that phase. Blocks of one phase lie side by side in the grid, phases
 * behind each other along z. Without groups.
 *
 * weights: [O][taps sorted by phase, backwards in each][channels padded to whole chunks of 16 bytes]. */
#include "conv/cuda_windows.h"
#include "conv_transpose/conv_transpose.h"
#include "cuda_gemm_core.h"
#include "cuda_gemm_finish.h"

namespace ingot {

/* An axis of a phase: the first position of the result and how many there are, a stride apart; the taps it uses, how
 * many come before them, and where the window of the first position begins. */
struct phase_axis {
    int first, positions, taps, before, step, begin;

    DEVICE phase_axis(const ingot_conv_transpose_params &p, int axis, int phase, int out) {
        const int stride = p.strides[axis], pad = p.pads_begin[axis], dilation = p.dilations[axis];
        int last = 0, second = 0;
        taps = before = 0;
        for (int k = 0; k < p.kernel[axis]; k++) {
            const int other = k * dilation % stride;
            before += other < phase;
            if (other == phase) {
                taps++;
                second = last;
                last = k;
            }
        }
        first = (phase - pad % stride + stride) % stride;
        positions = first < out ? (out - first + stride - 1) / stride : 0;
        step = taps > 1 ? (last - second) * dilation / stride : 1;
        begin = (first + pad - last * dilation) / stride;
    }
};

/* What a phase is of the image, and where its results lie. */
struct phase_view {
    image_extents e;
    ingot_conv_params p; /* of the convolution */
    int tap, taps;       /* first of those sorted, and how many */
    int rows, first[3], stride[3], out[3];

    DEVICE phase_view(const ingot_cuda_arg &x, const ingot_cuda_arg &y, const ingot_conv_transpose_params &t, int phase)
        : e(x, y), tap(0), taps(1), rows(x.dims[0]) {
        int later = 1; /* taps of the axes behind, sorted first by the phases before them */
        int all[3], before[3];
#pragma unroll
        for (int i = 2; i >= 0; i--) {
            const phase_axis axis(t, i, phase % t.strides[i], e.out[i]);
            phase /= t.strides[i];
            first[i] = axis.first;
            stride[i] = t.strides[i];
            out[i] = e.out[i];
            e.out[i] = axis.positions;
            rows *= axis.positions;
            taps *= axis.taps;
            all[i] = axis.taps;
            before[i] = axis.before;
            p.kernel[i] = axis.taps > 0 ? axis.taps : 1;
            p.strides[i] = 1;
            p.dilations[i] = axis.step;
            p.pads_begin[i] = -axis.begin;
        }
#pragma unroll
        for (int i = 2; i >= 0; i--) {
            int others = before[i] * later;
#pragma unroll
            for (int k = 0; k < i; k++) others *= all[k];
            tap += others;
            later *= t.kernel[i];
        }
    }
};

/* Rows of a tile as rows of the result. */
struct phase_rows {
    const phase_view &view;
    int first, count;

    DEVICE bool has(int row) const { return row < count; }
    DEVICE int64_t at(int row) const {
        int rest = first + row, place[3];
#pragma unroll
        for (int i = 2; i >= 0; i--) {
            const int next = rest / view.e.out[i];
            place[i] = view.first[i] + (rest - next * view.e.out[i]) * view.stride[i];
            rest = next;
        }
        return (((int64_t)rest * view.out[0] + place[0]) * view.out[1] + place[1]) * view.out[2] + place[2];
    }
};

/* The weights of a phase, and how many stages they are. */
template <class T, class Tile> struct phase_weights : packed_weights<T, Tile> {
    static constexpr int VEC = vec_of<T>::count;
    int steps;

    DEVICE phase_weights(const ingot_cuda_arg &w, const phase_view &view, int column)
        : packed_weights<T, Tile>(w, column, 0) {
        const int padded = (view.e.channels + VEC - 1) / VEC * VEC;
        this->data += view.tap * padded;
        this->depth = view.taps * padded;
        steps = (this->depth * (int)sizeof(T) + Tile::bytes - 1) / Tile::bytes;
    }
};

/* Makes the sums of a tile, and leaves them at the begin of the shared memory. */
template <class T, class X, class Core, class Tile, class Finish>
DEVICE void phase_sums(phase_weights<T, Tile> &b, const ingot_cuda_arg &x, const phase_view &view,
                       const tile_place<Tile> &at, int8_t fill, uint8_t *shared, Finish &finish) {
    Core core;
    image_windows<T, X, Tile> a(x, view.e, view.p, view.rows, at.row, fill, shared + Tile::stages * Tile::stage_bytes);
    multiply_tile<Tile>(core, a, b, shared, b.steps, finish);
    core.place(reinterpret_cast<typename Core::sum *>(shared));
}

/* Operands: x, weights, bias, residual, result; float32 or half. */
template <template <class> class Core, class T, class X, int KIND, class Tile> struct conv_transpose_gemm {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true; /* weights are constants */
    using call = ingot::call<5, ingot_conv_transpose_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[4];
        const phase_view view(c.arg[0], out, c.params, (int)blockIdx.z);
        const tile_place<Tile> at(view.rows, out.dims[out.rank - 1]);
        if (!at.exists) return await_kernels();
        phase_weights<T, Tile> b(c.arg[1], view, at.column);
        load_ahead<Tile, Core<Tile>>(b, shared, b.steps);
        await_kernels();
        finish_real<KIND, T, Tile, phase_rows> finish(c.arg[2], c.arg[3], out, at.column,
                                                      phase_rows{view, at.row, view.rows - at.row});
        phase_sums<T, X, Core<Tile>>(b, c.arg[0], view, at, 0, shared, finish);
        finish(reinterpret_cast<const float *>(shared), c.params.activation, 1.0f);
    }
};

/* Operands: x, weights, bias, residual, sums of weights of each phase, scale, result; exact integers. */
template <template <class> class Core, class Tile> struct conv_transpose_gemm_s8 {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true; /* weights are constants */
    using call = ingot::call<7, ingot_conv_transpose_s8_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[6], &sums = c.arg[4];
        const int phase = (int)blockIdx.z;
        const phase_view view(c.arg[0], out, c.params.conv, phase);
        const tile_place<Tile> at(view.rows, out.dims[out.rank - 1]);
        if (!at.exists) return await_kernels();
        phase_weights<int8_t, Tile> b(c.arg[1], view, at.column);
        load_ahead<Tile, Core<Tile>>(b, shared, b.steps);
        ingot_cuda_arg own; /* sums of the phase */
        own.data = static_cast<int32_t *>(sums.data) + phase * sums.pitch;
        own.dtype = sums.dtype;
        finish_s8<Tile, phase_rows> finish(c.arg[2], c.arg[3], own, c.arg[5], out, c.params.numbers,
                                           c.params.conv.activation, at.column,
                                           phase_rows{view, at.row, view.rows - at.row});
        await_kernels();
        phase_sums<int8_t, int8_t, Core<Tile>>(b, c.arg[0], view, at, (int8_t)c.params.numbers.input_zero, shared,
                                               finish);
        finish(reinterpret_cast<const int32_t *>(shared));
    }
};

} // namespace ingot
