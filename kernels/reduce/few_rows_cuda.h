/* The device kernel of reduce for few rows, for any Fold of reduce_cuda.h that does not shift. */
#ifndef INGOT_REDUCE_FEW_ROWS_CUDA_H
#define INGOT_REDUCE_FEW_ROWS_CUDA_H

#include "cuda_rows.h"

namespace ingot {

/* Few rows of many columns, as an average over an image: extents are constants, so that nothing has to be found out
 * before the first read. ACROSS threads of a block have V columns each, which divide COLUMNS; the others have other
 * rows of the same, and all that a thread reads is asked for at once. */
template <class Fold, int THREADS, int ACROSS, int V, int ROWS, int COLUMNS> struct reduce_few_rows {
    static constexpr int threads = THREADS;
    static constexpr int blocks = 1;
    static constexpr int DOWN = THREADS / ACROSS, EACH = (ROWS + DOWN - 1) / DOWN, WIDTH = ACROSS * V;
    using In = typename Fold::in;
    using Acc = typename Fold::acc;
    using Out = typename Fold::out;
    using call = ingot::call<2, typename Fold::params>;

    static DEVICE void run(const call &c) {
        constexpr int TILES = (COLUMNS + WIDTH - 1) / WIDTH;
        INGOT_SHARED(Acc, parts, [THREADS / 32][WIDTH]);
        const int across = (int)threadIdx.x % ACROSS, down = (int)threadIdx.x / ACROSS;
        const int outer = (int)(blockIdx.x / TILES), column = (int)(blockIdx.x % TILES) * WIDTH + across * V;
        const Fold fold(c.params, ROWS, c.arg[0].dtype);
        const bool there = COLUMNS % WIDTH == 0 || column < COLUMNS;
        const In *const x = static_cast<const In *>(c.arg[0].data) + (int64_t)outer * (ROWS * COLUMNS) + column;
        In read[EACH][V];
        const bool whole = is_whole<V>(x);
        if (whole) {
#pragma unroll
            for (int i = 0; i < EACH; i++) { /* rows behind the last one are others of them */
                const int row = down + i * DOWN < ROWS ? down + i * DOWN : ROWS - 1;
                load_some(read[i], there ? x + row * COLUMNS : x - across * V, true, V, In{});
            }
        } else {
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                load_some(read[i], x + (down + i * DOWN) * COLUMNS, false, there && down + i * DOWN < ROWS ? V : 0,
                          In{});
            }
        }
        Acc a[V];
#pragma unroll
        for (int j = 0; j < V; j++) {
            a[j] = fold.init();
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                const Acc next = fold.step(a[j], read[i][j], (Acc)0);
                a[j] = ROWS % DOWN == 0 || down + i * DOWN < ROWS ? next : a[j];
            }
#pragma unroll
            for (int mask = 16; mask >= ACROSS; mask /= 2) a[j] = fold.join(a[j], exchange(a[j], mask));
        }
        if (threadIdx.x % 32 < ACROSS) {
#pragma unroll
            for (int j = 0; j < V; j++) parts[threadIdx.x / 32][across * V + j] = a[j];
        }
        sync_block();
        const int own = (int)(blockIdx.x % TILES) * WIDTH + (int)threadIdx.x;
        if (threadIdx.x >= WIDTH || own >= COLUMNS) return;
        Acc all = parts[0][threadIdx.x];
#pragma unroll
        for (int warp = 1; warp < THREADS / 32; warp++) all = fold.join(all, parts[warp][threadIdx.x]);
        static_cast<Out *>(c.arg[1].data)[(int64_t)outer * COLUMNS + own] = fold.finish(all, (Acc)0);
    }
};

} // namespace ingot

#endif
