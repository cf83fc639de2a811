/* Finishes of matrix products: sums, which lie in shared memory, become results. See cuda_gemm.h. */
#ifndef INGOT_CUDA_GEMM_FINISH_H
#define INGOT_CUDA_GEMM_FINISH_H

#include "cuda_epilogue.h"
#include "cuda_gemm.h"

namespace ingot {

/* Whether a count of 0 to N, a power of two, is N: by its bit. ptxas 13.0 takes the comparison from the predicate of
 * the VIMNMX.RELU that made the count, and that says the opposite on an H200. */
template <int N = 8> DEVICE bool is_whole(int count) { return (opaque(count) & N) != 0; }

/* Threads take eight neighbours in a row of the tile at a time, always in the same columns; four where some would have
 * nothing to do. */
template <class Tile> struct finish_share {
    static constexpr int VEC = Tile::rows * Tile::columns < 8 * Tile::threads ? 4 : 8;
    static constexpr int groups = Tile::columns / VEC, step = Tile::threads / groups;
    static constexpr int turns = (Tile::rows + step - 1) / step;
    static_assert(Tile::columns % VEC == 0 && Tile::threads % groups == 0, "columns that threads can share");

    int row, column, count; /* count: of the columns, how many there are */

    DEVICE finish_share(int columns) {
        row = (int)threadIdx.x / groups;
        column = (int)threadIdx.x % groups * VEC;
        const int left = columns - column;
        count = left < 0 ? 0 : left < VEC ? left : VEC;
    }
};

/* N neighbours: eight or four. */
template <class T, int N> struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) neighbours { T at[N]; };

/* Whether N elements from a multiple of N on can be reached at once in every row. */
template <class T, int N = 8> DEVICE bool in_whole(const ingot_cuda_arg &a) {
    return (((uintptr_t)a.data | (uintptr_t)(a.pitch * (int64_t)sizeof(T))) & (alignof(neighbours<T, N>) - 1)) == 0;
}

/* The first `count` of N elements, zeros behind; `wide`: they can be reached at once. */
template <int N, class T> DEVICE neighbours<T, N> get_some(const T *p, int count, bool wide) {
    neighbours<T, N> x = {};
    if (wide && is_whole<N>(count)) {
        x = *reinterpret_cast<const neighbours<T, N> *>(p);
    } else {
#pragma unroll
        for (int i = 0; i < N; i++) {
            if (i < count) x.at[i] = p[i];
        }
    }
    return x;
}

template <class T, int N> DEVICE void put_some(T *p, const neighbours<T, N> &x, int count, bool wide) {
    if (wide && is_whole<N>(count)) {
        *reinterpret_cast<neighbours<T, N> *>(p) = x;
    } else {
#pragma unroll
        for (int i = 0; i < N; i++) {
            if (i < count) p[i] = x.at[i];
        }
    }
}

template <class T, int N> DEVICE void load_some(float (&x)[N], const T *p, int count, bool wide) {
    const neighbours<T, N> all = get_some<N>(p, count, wide);
#pragma unroll
    for (int i = 0; i < N; i++) x[i] = to_float(all.at[i]);
}

template <class T, int N> DEVICE void store_some(T *p, const float (&x)[N], int count, bool wide) {
    neighbours<T, N> all;
#pragma unroll
    for (int i = 0; i < N; i++) all.at[i] = from_float<T>(x[i]);
    put_some(p, all, count, wide);
}

/* Neighbours of the sums at a place. Of those that `groups` of warps along the depth have made, which is one or all
 * there are, in their order. */
template <class Tile, int N, class S> DEVICE neighbours<S, N> added_sums(const S *at, int groups) {
    typedef neighbours<S, N> some;
    some all = *reinterpret_cast<const some *>(at);
    if (Tile::warps_k > 1 && groups > 1) {
#pragma unroll
        for (int k = 1; k < Tile::warps_k; k++) {
            const some more = *reinterpret_cast<const some *>(at + k * Tile::sum_count);
#pragma unroll
            for (int i = 0; i < N; i++) all.at[i] += more.at[i];
        }
    }
    return all;
}

/* An operand of float32, or of the half type H: float where there is none. N neighbours at a time. */
template <class H, int N = 8> struct real_rows {
    const ingot_cuda_arg &a;
    bool single, wide;

    DEVICE explicit real_rows(const ingot_cuda_arg &operand) : a(operand) {
        single = sizeof(H) == 4 || a.dtype == DTYPE_F32;
        wide = single ? in_whole<float, N>(a) : in_whole<H, N>(a);
    }
    DEVICE void load(float (&x)[N], int64_t at, int count) const {
        if (single) {
            load_some(x, static_cast<const float *>(a.data) + at, count, wide);
        } else {
            load_some(x, static_cast<const H *>(a.data) + at, count, wide);
        }
    }
    DEVICE void store(const float (&x)[N], int64_t at, int count) const {
        if (single) {
            store_some(static_cast<float *>(a.data) + at, x, count, wide);
        } else {
            store_some(static_cast<H *>(a.data) + at, x, count, wide);
        }
    }
};

/* What follows is made before the sums and called when they are there. In between, when the first copies are on their
 * way, `begin` starts to read what it needs, so that nobody waits for it at the end of a short kernel. */

/* Numbers that belong to columns: each is read by one thread, and all take theirs from shared memory. */
template <class Tile, int COUNT> struct column_numbers {
    static_assert(Tile::columns <= Tile::threads, "a thread has one column");
    uint32_t own[COUNT];

    static DEVICE uint32_t *table() {
        INGOT_SHARED(uint32_t, numbers, [COUNT * Tile::columns]);
        return numbers;
    }
    /* Others see them behind a barrier. */
    DEVICE void put() const {
        const int column = (int)threadIdx.x;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            if (column < Tile::columns) table()[i * Tile::columns + column] = own[i];
        }
    }
    template <class T, int N> static DEVICE neighbours<T, N> get(int which, int column) {
        return *reinterpret_cast<const neighbours<T, N> *>(table() + which * Tile::columns + column);
    }
};

/* N elements as they lie in memory: what is only kept is not taken apart. */
template <class T, int N = 8> struct alignas(alignof(neighbours<T, N>)) words_of {
    static constexpr int per_word = 4 / (int)sizeof(T), bits = 8 * (int)sizeof(T);
    uint32_t at[N * (int)sizeof(T) / 4];

    DEVICE uint32_t bits_at(int i) const { return at[i / per_word] >> (i % per_word * bits); }
    DEVICE float real(int i) const {
        if constexpr (sizeof(T) == 4) {
            return float_of(at[i]);
        } else if constexpr (sizeof(T) == 2) {
            return to_float(T{(uint16_t)bits_at(i)});
        } else {
            return (float)(T)bits_at(i);
        }
    }
    /* An int8, raised (cuda_epilogue.h). */
    DEVICE float raised(int i) const {
        return float_of(permute_bytes(at[i / per_word] ^ 0x80808080u, 0x4b000000u, 0x7440u + (uint32_t)(i % per_word)));
    }
};

template <class T> DEVICE uint32_t raw_bits(T x) {
    if constexpr (sizeof(T) == 4) {
        return bits_of(x);
    } else if constexpr (sizeof(T) == 2) {
        return x.bits;
    } else {
        return (uint8_t)x;
    }
}

/* The first `count` of N elements one by one, zeros behind. */
template <int N, class T> DEVICE words_of<T, N> get_words(const T *p, int count) {
    typedef words_of<T, N> words;
    words x = {};
#pragma unroll
    for (int i = 0; i < N; i++) {
        if (i < count) x.at[i / words::per_word] |= raw_bits(p[i]) << (i % words::per_word * words::bits);
    }
    return x;
}

template <int N> DEVICE void put_words(int8_t *p, const words_of<int8_t, N> &x, int count, bool wide) {
    if (wide && is_whole<N>(count)) {
        *reinterpret_cast<words_of<int8_t, N> *>(p) = x;
    } else {
#pragma unroll
        for (int i = 0; i < N; i++) {
            if (i < count) p[i] = (int8_t)x.bits_at(i);
        }
    }
}

/* Rows of a tile as rows of the result, which are numbered through: row r is r pitches from the first. Here they follow
 * each other. */
struct rows_in_order {
    int64_t first;
    int count;

    DEVICE bool has(int row) const { return row < count; }
    DEVICE int64_t at(int row) const { return first + row; }
};

/* The rows of the residual that a thread takes, some ahead of the one that it is at where they can be reached at once.
 */
template <class T, class Tile, class Rows> struct rows_ahead {
    typedef finish_share<Tile> share;
    static constexpr int N = share::VEC, all = share::turns, most = sizeof(T) == 4 ? 2 : 4;
    static constexpr int depth = all < most ? all : most;
    typedef words_of<T, N> words;

    const T *data;
    int64_t pitch;
    int next, count;
    bool wide;
    words kept[depth];

    /* Of `columns` elements from `column` on. */
    DEVICE void begin(const ingot_cuda_arg &a, const Rows &rows, int row, int column, int columns) {
        data = static_cast<const T *>(a.data) + column;
        pitch = a.pitch;
        next = row;
        count = columns;
        wide = is_whole<N>(count) && in_whole<T, N>(a);
#pragma unroll
        for (int i = 0; i < depth; i++) kept[i] = read(rows);
    }
    DEVICE words read(const Rows &rows) {
        words x = {};
        if (wide && next < Tile::rows && rows.has(next)) {
            x = *reinterpret_cast<const words *>(data + rows.at(next) * pitch);
        }
        next += share::step;
        return x;
    }
    /* Those of `row`, which is the next. */
    DEVICE words take(const Rows &rows, int row) {
        if (!wide) return get_words<N>(data + rows.at(row) * pitch, count);
        const words x = kept[0];
#pragma unroll
        for (int i = 0; i + 1 < depth; i++) kept[i] = kept[i + 1];
        if constexpr (all > depth) kept[depth - 1] = read(rows);
        return x;
    }
};

/* activation(alpha * sum + bias + residual), in float32; results and residual in it or in H. */
template <int KIND, class H, class Tile, class Rows = rows_in_order> struct finish_real {
    const ingot_cuda_arg &bias, &residual, &out;
    static constexpr int N = finish_share<Tile>::VEC;
    finish_share<Tile> mine;
    Rows rows;
    int first_column, column, groups = Tile::warps_k; /* groups: of warps that have left sums */
    column_numbers<Tile, 1> numbers;
    rows_ahead<H, Tile, Rows> ahead;

    DEVICE finish_real(const ingot_cuda_arg &bias_, const ingot_cuda_arg &residual_, const ingot_cuda_arg &out_,
                       int column_, const Rows &rows_)
        : bias(bias_), residual(residual_), out(out_), mine(out_.dims[out_.rank - 1] - column_), rows(rows_),
          first_column(column_), column(column_ + mine.column) {}
    /* `first` is the first row of the result that the tile is one of, of `count`. */
    DEVICE finish_real(const ingot_cuda_arg &bias_, const ingot_cuda_arg &residual_, const ingot_cuda_arg &out_,
                       const tile_place<Tile> &at, int64_t first, int count)
        : finish_real(bias_, residual_, out_, at.column, Rows{first + at.row, count - at.row}) {}

    DEVICE bool is_ahead() const {
        return residual.dtype != DTYPE_NONE && (sizeof(H) == 4 || residual.dtype != DTYPE_F32);
    }

    DEVICE void begin() {
        const int own = (int)threadIdx.x;
        numbers.own[0] = 0;
        if (bias.dtype != DTYPE_NONE && own < Tile::columns && first_column + own < out.dims[out.rank - 1]) {
            numbers.own[0] = static_cast<const uint32_t *>(bias.data)[first_column + own];
        }
        if (is_ahead()) ahead.begin(residual, rows, mine.row, column, mine.count);
    }

    DEVICE void operator()(const float *sums, const ingot_activation &kind, float alpha) {
        const int count = mine.count;
        numbers.put();
        sync_block();
        if (count == 0 || mine.row >= Tile::rows) return;
        const activation<KIND> act(kind);
        const real_rows<H, N> to(out);
        const bool kept = is_ahead(), wide = in_whole<float, N>(residual);
        const neighbours<float, N> add = numbers.template get<float, N>(0, mine.column);
#pragma unroll 1
        for (int r = mine.row; r < Tile::rows; r += finish_share<Tile>::step) {
            if (!rows.has(r)) continue;
            const neighbours<float, N> sum = added_sums<Tile, N>(sums + r * Tile::sum_pitch + mine.column, groups);
            float x[N], old[N];
            if (kept) {
                const words_of<H, N> taken = ahead.take(rows, r);
#pragma unroll
                for (int i = 0; i < N; i++) old[i] = taken.real(i);
            } else if (residual.dtype != DTYPE_NONE) {
                load_some(old, static_cast<const float *>(residual.data) + rows.at(r) * residual.pitch + column, count,
                          wide);
            } else {
#pragma unroll
                for (int i = 0; i < N; i++) old[i] = 0.0f;
            }
#pragma unroll
            for (int i = 0; i < N; i++) x[i] = act(fma_f32(alpha, sum.at[i], add.at[i]) + old[i]);
            to.store(x, rows.at(r) * out.pitch + column, count);
        }
    }
};

/* Exact integers, as gemm_s8.h says. Sums of the weights may be absent; the scale is one number, or one a column. All
 * but the residual are constants: they are asked for when this is made, which may be before the kernels in front have
 * ended. */
template <class Tile, class Rows = rows_in_order> struct finish_s8 {
    static constexpr int N = finish_share<Tile>::VEC;
    const ingot_cuda_arg &residual, &out;
    const ingot_s8_numbers &s8;
    const ingot_activation &kind;
    finish_share<Tile> mine;
    Rows rows;
    int column, groups = Tile::warps_k; /* groups: of warps that have left sums */
    column_numbers<Tile, 3> numbers;    /* what is added to sums, their scale, what is added to real numbers */
    uint32_t weight_sum, whole_bias;
    rows_ahead<int8_t, Tile, Rows> ahead;
    end_s8 end;

    DEVICE finish_s8(const ingot_cuda_arg &bias, const ingot_cuda_arg &residual_, const ingot_cuda_arg &sums,
                     const ingot_cuda_arg &scale, const ingot_cuda_arg &out_, const ingot_s8_numbers &s8_,
                     const ingot_activation &kind_, int first_column, const Rows &rows_)
        : residual(residual_), out(out_), s8(s8_), kind(kind_), mine(out_.dims[out_.rank - 1] - first_column),
          rows(rows_), column(first_column + mine.column) {
        const int own = (int)threadIdx.x, at = first_column + own;
        weight_sum = whole_bias = 0;
        numbers.own[1] = numbers.own[2] = 0;
        if (own < Tile::columns && at < out.dims[out.rank - 1]) {
            if (sums.dtype != DTYPE_NONE) weight_sum = static_cast<const uint32_t *>(sums.data)[at];
            if (bias.dtype == DTYPE_I32) {
                whole_bias = static_cast<const uint32_t *>(bias.data)[at];
            } else if (bias.dtype != DTYPE_NONE) {
                numbers.own[2] = static_cast<const uint32_t *>(bias.data)[at];
            }
            numbers.own[1] = static_cast<const uint32_t *>(scale.data)[scale.dims[0] == 1 ? 0 : at];
        }
    }
    DEVICE finish_s8(const ingot_cuda_arg &bias, const ingot_cuda_arg &residual_, const ingot_cuda_arg &sums,
                     const ingot_cuda_arg &scale, const ingot_cuda_arg &out_, const ingot_s8_numbers &s8_,
                     const ingot_activation &kind_, const tile_place<Tile> &at, int64_t first, int count)
        : finish_s8(bias, residual_, sums, scale, out_, s8_, kind_, at.column, Rows{first + at.row, count - at.row}) {}

    /* There is a barrier between this and the end. */
    DEVICE void begin() {
        if (residual.dtype != DTYPE_NONE) ahead.begin(residual, rows, mine.row, column, mine.count);
        end = end_s8(s8, kind);
        numbers.own[0] = weight_sum * (0u - (uint32_t)s8.input_zero) + whole_bias;
        numbers.put();
    }

    DEVICE void operator()(const int32_t *sums) {
        const int count = mine.count;
        const neighbours<uint32_t, N> offset = numbers.template get<uint32_t, N>(0, mine.column);
        const neighbours<float, N> factor = numbers.template get<float, N>(1, mine.column);
        const neighbours<float, N> add = numbers.template get<float, N>(2, mine.column);
        const bool stores = out.dtype == DTYPE_I8, adds = residual.dtype != DTYPE_NONE;
        const bool wide = stores ? in_whole<int8_t, N>(out) : in_whole<float, N>(out);
        sync_block();
        if (count == 0 || mine.row >= Tile::rows) return;
#pragma unroll 1
        for (int r = mine.row; r < Tile::rows; r += finish_share<Tile>::step) {
            if (!rows.has(r)) continue;
            const neighbours<int32_t, N> x = added_sums<Tile, N>(sums + r * Tile::sum_pitch + mine.column, groups);
            float y[N];
#pragma unroll
            for (int i = 0; i < N; i++)
                y[i] = end.scaled((int32_t)((uint32_t)x.at[i] + offset.at[i]), factor.at[i], add.at[i]);
            if (adds) {
                const words_of<int8_t, N> old = ahead.take(rows, r);
#pragma unroll
                for (int i = 0; i < N; i++) y[i] = end.with_raised_residual(y[i], old.raised(i));
            }
            const int64_t to = rows.at(r) * out.pitch + column;
            if (stores) {
                words_of<int8_t, N> z;
#pragma unroll
                for (int i = 0; i < N; i += 4) z.at[i / 4] = end.stored4(y[i], y[i + 1], y[i + 2], y[i + 3]);
                put_words(static_cast<int8_t *>(out.data) + to, z, count, wide);
            } else {
#pragma unroll
                for (int i = 0; i < N; i++) y[i] = end.real(y[i]);
                store_some(static_cast<float *>(out.data) + to, y, count, wide);
            }
        }
    }
};

} // namespace ingot

#endif
