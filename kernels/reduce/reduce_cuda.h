/* The device kernels of reduce, for any Fold: how elements become one, and what is stored. A Fold has
 *
 *     using in, acc, out, params;              element types, the parameter struct
 *     Fold(const params &, int count, uint32_t dtype)   `count` elements become one
 *     acc init(), step(acc a, in x, acc shift), join(acc, acc); out finish(acc, acc shift)
 *     static constexpr bool shifts;   `shift` is shift_of(acc) of a first pass, by most_init(), most(acc, in) and
 *                                     most_join(acc, acc); else 0
 *
 * Where results are few and long, and nothing shifts, gridDim.y blocks have a part of each: they leave what their parts
 * come to in the workspace, and the last one joins them in their order. A tile then has a counter. */
#ifndef INGOT_REDUCE_CUDA_H
#define INGOT_REDUCE_CUDA_H

#include "cuda_rows.h"
#include "reduce/reduce.h"

namespace ingot {

/* Adjacent axes of one sort merged, as reduce_plan.h has it: for each combination of the kept loops, and each of the
 * reduced ones, lies a block [rows][columns], its rows `row_step` apart, of which each column is folded. */
struct reduce_walk {
    int32_t kept_extent[4], kept_stride[4], reduced_extent[4], reduced_stride[4];
    int32_t kept, reduced, outer, blocks, rows, columns, row_step;

    DEVICE void make(const ingot_cuda_arg &x, const ingot_cuda_arg &y, uint32_t axes) {
        kept = reduced = 0;
        outer = blocks = rows = columns = row_step = 1;
        int32_t in = 1, out = 1;
        for (uint32_t a = 0; a < x.rank; a++) {
            in *= x.dims[a];
            out *= y.dims[a];
        }
        if (in == 0) { /* every output is the fold of nothing */
            outer = out;
            rows = 0;
            return;
        }
        int32_t stride = 1, merged = 0; /* groups so far, the innermost first */
        bool was_reduced = false, has_rows = false;
        for (int a = (int)x.rank - 1; a >= 0; a--) {
            const int32_t extent = x.dims[a];
            const bool is_reduced = axes >> a & 1;
            if (extent == 1) continue;
            const bool joins = merged > 0 && is_reduced == was_reduced;
            merged += joins ? 0 : 1;
            was_reduced = is_reduced;
            if (!is_reduced && merged == 1) {
                columns *= extent;
            } else if (is_reduced && (!has_rows || (joins && reduced == 0))) {
                row_step = has_rows ? row_step : stride;
                rows *= extent;
                has_rows = true;
            } else if (is_reduced) {
                if (!joins) {
                    reduced_extent[reduced] = 1;
                    reduced_stride[reduced++] = stride;
                }
                reduced_extent[reduced - 1] *= extent;
                blocks *= extent;
            } else {
                if (!joins) {
                    kept_extent[kept] = 1;
                    kept_stride[kept++] = stride;
                }
                kept_extent[kept - 1] *= extent;
                outer *= extent;
            }
            stride *= extent;
        }
    }
    /* Of the `index`th combination of loops, the first running fastest. */
    static DEVICE int64_t offset(const int32_t *extent, const int32_t *stride, int count, int index) {
        int64_t at = 0;
        for (int i = 0; i < count; i++) {
            at += (int64_t)(index % extent[i]) * stride[i];
            index /= extent[i];
        }
        return at;
    }
    DEVICE int64_t kept_offset(int index) const { return offset(kept_extent, kept_stride, kept, index); }
    DEVICE int64_t reduced_offset(int index) const { return offset(reduced_extent, reduced_stride, reduced, index); }
    DEVICE int count() const { return rows * blocks; }
};

/* The elements [begin, end) of a result that a block folds: its part, a multiple of V but the last one. */
struct reduce_part {
    int32_t begin, end;

    DEVICE reduce_part(int count, int V) {
        const int parts = (int)gridDim.y, size = ((count - 1) / parts / V + 1) * V;
        begin = smaller((int)blockIdx.y * size, count);
        end = smaller(begin + size, count);
    }
};

/* Rows that lie side by side: a team of threads for each result. */
template <class Fold, int TEAM> struct reduce_runs {
    static constexpr int threads = TEAM > 128 ? TEAM : 128;
    static constexpr int blocks = 1;
    static constexpr int V = per_access<typename Fold::in>;
    using In = typename Fold::in;
    using Acc = typename Fold::acc;
    using call = ingot::call<2, typename Fold::params>;

    /* Each of the elements of a part of one result that are this thread's. */
    template <class Each>
    static DEVICE void walk(const reduce_walk &w, const In *x, bool whole, const reduce_part &part, Each each) {
        for (int block = w.blocks > 1 ? part.begin / w.rows : 0; block < w.blocks; block++) {
            const int first = block * w.rows, begin = larger(part.begin - first, 0);
            const int rows = smaller(part.end - first, w.rows) - begin;
            if (rows <= 0) break;
            const In *run = x + (w.blocks > 1 ? w.reduced_offset(block) : 0) + begin;
            int i = (int)threadIdx.x % TEAM;
            if (whole && begin % V == 0) {
                const int vectors = rows / V;
#pragma unroll 4
                for (; i < vectors; i += TEAM) {
                    const some<In, V> all = reinterpret_cast<const some<In, V> *>(run)[i];
#pragma unroll
                    for (int j = 0; j < V; j++) each(all.at[j]);
                }
                i = vectors * V + (int)threadIdx.x % TEAM;
            }
#pragma unroll 4
            for (; i < rows; i += TEAM) each(run[i]);
        }
    }
    static DEVICE void run(const call &c) {
        INGOT_SHARED(reduce_walk, plan, [1]);
        INGOT_SHARED(Acc, parts, [32]);
        if (threadIdx.x == 0) plan[0].make(c.arg[0], c.arg[1], Fold::reduce_of(c.params).axes);
        sync_block();
        const reduce_walk &w = plan[0];
        const Fold fold(c.params, w.count(), c.arg[0].dtype);
        const In *x = static_cast<const In *>(c.arg[0].data);
        bool whole = is_whole<V>(x);
        for (int i = 0; i < w.kept; i++) whole = whole && w.kept_stride[i] % V == 0;
        for (int i = 0; i < w.reduced; i++) whole = whole && w.reduced_stride[i] % V == 0;
        const reduce_part part(w.count(), V);
        const int step = (int)gridDim.x * (threads / TEAM);
        for (int row = (int)(blockIdx.x * (threads / TEAM) + threadIdx.x / TEAM); row < w.outer; row += step) {
            const In *from = x + w.kept_offset(row);
            Acc shift = 0;
            if constexpr (Fold::shifts) {
                Acc most = fold.most_init();
                walk(w, from, whole, part, [&](In e) { most = fold.most(most, e); });
                shift = fold.shift_of(join_team<TEAM>(most, parts, [&](Acc a, Acc b) { return fold.most_join(a, b); }));
            }
            Acc a = fold.init();
            walk(w, from, whole, part, [&](In e) { a = fold.step(a, e, shift); });
            const auto join = [&](Acc p, Acc q) { return fold.join(p, q); };
            a = join_team<TEAM>(a, parts, join);
            if constexpr (TEAM == threads && !Fold::shifts) {
                if (gridDim.y > 1) {
                    Acc *all = static_cast<Acc *>(c.tail.workspace) + row; /* [parts][results] */
                    if (threadIdx.x == 0) all[blockIdx.y * w.outer] = a;
                    if (!is_last_block(c.tail.counters + row, gridDim.y)) continue;
                    a = fold.init();
                    for (int i = (int)threadIdx.x; i < (int)gridDim.y; i += TEAM) a = fold.join(a, all[i * w.outer]);
                    a = join_team<TEAM>(a, parts, join);
                }
            }
            if (threadIdx.x % TEAM == 0) static_cast<typename Fold::out *>(c.arg[1].data)[row] = fold.finish(a, shift);
        }
    }
};

/* Columns side by side: ACROSS threads take V of them each, the others of the block other rows of the same. */
template <class Fold, int THREADS, int ACROSS> struct reduce_columns {
    static constexpr int threads = THREADS;
    static constexpr int blocks = 1;
    static constexpr int V = per_access<typename Fold::in>, WIDTH = ACROSS * V, DOWN = THREADS / ACROSS;
    using In = typename Fold::in;
    using Acc = typename Fold::acc;
    using Out = typename Fold::out;
    using call = ingot::call<2, typename Fold::params>;

    template <class Each>
    static DEVICE void walk(const reduce_walk &w, const In *x, bool whole, int left, const reduce_part &part,
                            Each each) {
        const int end = left > 0 ? part.end : 0;
#pragma unroll 4
        for (int i = part.begin + (int)threadIdx.x / ACROSS; i < end; i += DOWN) {
            const int64_t at = w.blocks == 1 ? (int64_t)i * w.row_step
                                             : w.reduced_offset(i / w.rows) + (int64_t)(i % w.rows) * w.row_step;
            In e[V];
            load_some(e, x + at, whole, left, In{});
            each(e);
        }
    }
    /* All threads get the join of each column of theirs. */
    template <class Join> static DEVICE void join_columns(Acc (&a)[V], Acc (&parts)[THREADS / 32][WIDTH], Join join) {
        const int across = (int)threadIdx.x % ACROSS;
#pragma unroll
        for (int j = 0; j < V; j++) {
#pragma unroll
            for (int mask = 16; mask >= ACROSS; mask /= 2) a[j] = join(a[j], exchange(a[j], mask));
        }
        sync_block();
        if (threadIdx.x % 32 < ACROSS) {
#pragma unroll
            for (int j = 0; j < V; j++) parts[threadIdx.x / 32][across * V + j] = a[j];
        }
        sync_block();
#pragma unroll
        for (int j = 0; j < V; j++) {
            a[j] = parts[0][across * V + j];
            for (int warp = 1; warp < THREADS / 32; warp++) a[j] = join(a[j], parts[warp][across * V + j]);
        }
    }
    static DEVICE void run(const call &c) {
        INGOT_SHARED(reduce_walk, plan, [1]);
        INGOT_SHARED(Acc, parts, [THREADS / 32][WIDTH]);
        if (threadIdx.x == 0) plan[0].make(c.arg[0], c.arg[1], Fold::reduce_of(c.params).axes);
        sync_block();
        const reduce_walk &w = plan[0];
        const Fold fold(c.params, w.count(), c.arg[0].dtype);
        const int across = (w.columns - 1) / WIDTH + 1, tiles = w.outer * across;
        const In *x = static_cast<const In *>(c.arg[0].data);
        Out *y = static_cast<Out *>(c.arg[1].data);
        const bool whole = is_whole<V>(x) && w.columns % V == 0, whole_out = is_whole<V>(y) && w.columns % V == 0;
        const reduce_part part(w.count(), 1);
        for (int tile = (int)blockIdx.x; tile < tiles; tile += (int)gridDim.x) {
            const int column = tile % across * WIDTH + (int)threadIdx.x % ACROSS * V, left = w.columns - column;
            const In *from = x + w.kept_offset(tile / across) + (left > 0 ? column : 0);
            Acc a[V], shift[V] = {};
            if constexpr (Fold::shifts) {
#pragma unroll
                for (int j = 0; j < V; j++) a[j] = fold.most_init();
                walk(w, from, whole, left, part, [&](const In(&e)[V]) {
#pragma unroll
                    for (int j = 0; j < V; j++) a[j] = fold.most(a[j], e[j]);
                });
                join_columns(a, parts, [&](Acc p, Acc q) { return fold.most_join(p, q); });
#pragma unroll
                for (int j = 0; j < V; j++) shift[j] = fold.shift_of(a[j]);
            }
#pragma unroll
            for (int j = 0; j < V; j++) a[j] = fold.init();
            walk(w, from, whole, left, part, [&](const In(&e)[V]) {
#pragma unroll
                for (int j = 0; j < V; j++) a[j] = fold.step(a[j], e[j], shift[j]);
            });
            const auto join = [&](Acc p, Acc q) { return fold.join(p, q); };
            join_columns(a, parts, join);
            if constexpr (!Fold::shifts) {
                if (gridDim.y > 1) {
                    const int results = w.outer * w.columns;
                    Acc *all = static_cast<Acc *>(c.tail.workspace) + tile / across * w.columns + column;
                    if (threadIdx.x < ACROSS) {
#pragma unroll
                        for (int j = 0; j < V; j++) {
                            if (j < left) all[(int)blockIdx.y * results + j] = a[j];
                        }
                    }
                    if (!is_last_block(c.tail.counters + tile, gridDim.y)) continue;
#pragma unroll
                    for (int j = 0; j < V; j++) a[j] = fold.init();
                    for (int i = (int)threadIdx.x / ACROSS; i < (int)gridDim.y; i += DOWN) {
#pragma unroll
                        for (int j = 0; j < V; j++) a[j] = j < left ? fold.join(a[j], all[i * results + j]) : a[j];
                    }
                    join_columns(a, parts, join);
                }
            }
            if (threadIdx.x < ACROSS && left > 0) {
                Out result[V];
#pragma unroll
                for (int j = 0; j < V; j++) result[j] = fold.finish(a[j], shift[j]);
                store_some(y + (int64_t)(tile / across) * w.columns + column, result, whole_out, left);
            }
        }
    }
};

} // namespace ingot

#endif
