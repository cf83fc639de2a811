/* Matrix products. Of a constant matrix the columns are packed: b is [N][depth], a row padded to whole chunks of 16
 * bytes, and all matrices of a are stacked. Otherwise both operands are taken as they come, batch axes broadcast, and
 * either may be transposed. */
#include "cuda_gemm_core.h"
#include "cuda_gemm_finish.h"
#include "cuda_gemm_split.h"
#include "cuda_gemm_source.h"
#include "matmul.h"
#include "matmul_batch.h"

namespace ingot {

/* Makes the sums of a tile, and leaves them at the begin of the shared memory. Whether this block finishes it. Waits
 * for the kernels before when all is known of where a lies. */
template <bool PARTS, class T, class X, class Core, class Tile, class Finish>
DEVICE bool packed_sums(packed_weights<T, Tile> &right, const depth_part &part, const ingot_cuda_arg &a,
                        const ingot_cuda_arg &b, const ingot_cuda_tail &tail, const tile_place<Tile> &at, int rows,
                        uint8_t *shared, Finish &finish) {
    const int depth = a.dims[a.rank - 1], padded = (depth + vec_of<T>::count - 1) / vec_of<T>::count * vec_of<T>::count;
    const int parts = padded > 0 ? (int)(b.pitch / padded) : 1;
    matrix_rows<T, X, Tile, Tile::rows, PARTS> left(static_cast<const X *>(a.data), a.pitch, rows, depth, at.row,
                                                    parts);
    left.skip(part.first);
    await_kernels();
    Core core;
    multiply_tile<Tile>(core, left, right, shared, part.count, finish);
    typename Core::sum *const sums = reinterpret_cast<typename Core::sum *>(shared);
    core.place(sums);
    return join_parts<Tile>(sums, tail, at, rows, b.dims[0], finish.groups);
}

/* Operands: a, packed b, bias, residual, result; float32 or half. */
template <template <class> class Core, class T, class X, int KIND, class Tile> struct matmul_gemm {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true;
    using call = ingot::call<5, ingot_matmul_params>;

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
        if (!packed_sums<false, T, X, Core<Tile>>(b, part, c.arg[0], c.arg[1], c.tail, at, rows, shared, finish))
            return;
        finish(own.template of<float>(shared), c.params.activation, 1.0f);
        leave_team<Tile>();
    }
};

/* Operands: a, packed b, bias, residual, sums of the columns of b, scale, result; exact integers. PARTS: b is a sum. */
template <template <class> class Core, bool PARTS, class Tile> struct matmul_gemm_s8 {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true;
    using call = ingot::call<7, ingot_matmul_s8_params>;

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
        finish_s8<Tile> finish(c.arg[2], c.arg[3], c.arg[4], c.arg[5], out, c.params.numbers,
                               c.params.matmul.activation, own, 0, own.end);
        if (!packed_sums<PARTS, int8_t, int8_t, Core<Tile>>(b, part, c.arg[0], c.arg[1], c.tail, at, rows, shared,
                                                            finish))
            return;
        finish(own.template of<int32_t>(shared));
        leave_team<Tile>();
    }
};

/* -- both operands as they come -------------------------------------------------------------------------------------
 */

template <bool TRANSPOSED, class T, class Tile, int ROWS> struct free_operand;
template <class T, class Tile, int ROWS> struct free_operand<false, T, Tile, ROWS> : matrix_rows<T, T, Tile, ROWS> {
    using matrix_rows<T, T, Tile, ROWS>::matrix_rows;
};
template <class T, class Tile, int ROWS> struct free_operand<true, T, Tile, ROWS> : matrix_columns<T, Tile, ROWS> {
    using matrix_columns<T, Tile, ROWS>::matrix_columns;
};

/* Makes the sums of a tile of one product. ACROSS_A, ACROSS_B: rows of a and columns of b lie across memory. */
template <bool ACROSS_A, bool ACROSS_B, class T, class Core, class Tile, class Finish>
DEVICE void free_sums(Core &core, const ingot_cuda_arg &a, const ingot_cuda_arg &b, const ingot_cuda_arg &out,
                      const tile_place<Tile> &at, int batch, uint8_t *shared, Finish &finish) {
    const int rows = out.dims[out.rank - 2], columns = out.dims[out.rank - 1];
    const int depth = a.dims[a.rank - (ACROSS_A ? 2 : 1)];
    const batch_place place(a, b, out, batch);
    const T *const from_a = static_cast<const T *>(a.data) + place.a * (int64_t)a.dims[a.rank - 2] * a.pitch;
    const T *const from_b = static_cast<const T *>(b.data) + place.b * (int64_t)b.dims[b.rank - 2] * b.pitch;
    free_operand<ACROSS_A, T, Tile, Tile::rows> left(from_a, a.pitch, rows, depth, at.row);
    free_operand<ACROSS_B, T, Tile, Tile::columns> right(from_b, b.pitch, columns, depth, at.column);
    const int steps = (depth * (int)sizeof(T) + Tile::bytes - 1) / Tile::bytes;
    load_ahead<Tile, Core>(right, shared, steps);
    multiply_tile<Tile>(core, left, right, shared, steps, finish);
}

/* Operands: a, b, bias, residual, result; float32. */
template <template <class> class Core, bool ACROSS_A, bool ACROSS_B, int KIND, class Tile> struct matmul_free {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    using call = ingot::call<5, ingot_matmul_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[4];
        const int rows = out.dims[out.rank - 2], batches = batches_of(out);
        const tile_place<Tile> at(rows, out.dims[out.rank - 1]);
        if (!at.exists) return;
#pragma unroll 1
        for (int batch = (int)blockIdx.y; batch < batches; batch += (int)gridDim.y) {
            finish_real<KIND, float, Tile> finish(c.arg[2], c.arg[3], out, at, (int64_t)batch * rows, rows);
            Core<Tile> core;
            free_sums<ACROSS_A, ACROSS_B, float>(core, c.arg[0], c.arg[1], out, at, batch, shared, finish);
            core.place(reinterpret_cast<float *>(shared));
            finish(reinterpret_cast<const float *>(shared), c.params.activation, c.params.alpha);
            sync_block();
        }
    }
};

/* Operands: a, b, bias, residual, sums, which are not used, one scale or one a column, result; exact integers. */
template <bool ACROSS_A, bool ACROSS_B, class Tile> struct matmul_free_s8 {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    using call = ingot::call<7, ingot_matmul_s8_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &a = c.arg[0], &out = c.arg[6], none = {};
        const int rows = out.dims[out.rank - 2], batches = batches_of(out);
        const tile_place<Tile> at(rows, out.dims[out.rank - 1]);
        if (!at.exists) return;
#pragma unroll 1
        for (int batch = (int)blockIdx.y; batch < batches; batch += (int)gridDim.y) {
            finish_s8<Tile> finish(c.arg[2], c.arg[3], none, c.arg[5], out, c.params.numbers,
                                   c.params.matmul.activation, at, (int64_t)batch * rows, rows);
            mma_core<int8_t, Tile, true> core;
            free_sums<ACROSS_A, ACROSS_B, int8_t>(core, a, c.arg[1], out, at, batch, shared, finish);
            core.centre(c.params.numbers.input_zero, c.params.b_zero, a.dims[a.rank - (ACROSS_A ? 2 : 1)]);
            core.place(reinterpret_cast<int32_t *>(shared));
            finish(reinterpret_cast<const int32_t *>(shared));
            sync_block();
        }
    }
};

} // namespace ingot
