/* Finishes of matrix products: sums, which lie in shared memory, become results. See cuda_gemm.h. */
#ifndef INGOT_CUDA_GEMM_FINISH_H
#define INGOT_CUDA_GEMM_FINISH_H

#include "cuda_epilogue.h"
#include "cuda_gemm.h"

namespace ingot {

/* Whether a count of 0 to 8 is 8: by its bit. ptxas 13.0 takes the comparison from the predicate of the VIMNMX.RELU
 * that made the count, and that says the opposite on an H200. */
DEVICE bool is_eight(int count) { return (opaque(count) & 8) != 0; }

/* Threads take eight neighbours in a row of the tile at a time, always in the same columns. */
template <class Tile> struct finish_share {
    static constexpr int VEC = 8, groups = Tile::columns / VEC, step = Tile::threads / groups;
    static_assert(Tile::columns % VEC == 0 && Tile::threads % groups == 0, "columns that threads can share");

    int row, column, count; /* count: of the columns, how many there are */

    DEVICE finish_share(int columns) {
        row = (int)threadIdx.x / groups;
        column = (int)threadIdx.x % groups * VEC;
        const int left = columns - column;
        count = left < 0 ? 0 : left < VEC ? left : VEC;
    }
};

template <class T> struct alignas(8 * sizeof(T) < 16 ? 8 * sizeof(T) : 16) eight { T at[8]; };

/* Whether eight elements from a multiple of eight on can be reached at once in every row. */
template <class T> DEVICE bool in_eights(const ingot_cuda_arg &a) {
    return (((uintptr_t)a.data | (uintptr_t)(a.pitch * (int64_t)sizeof(T))) & (alignof(eight<T>) - 1)) == 0;
}

/* The first `count` of eight elements, zeros behind; `wide`: they can be reached at once. */
template <class T> DEVICE eight<T> get_eight(const T *p, int count, bool wide) {
    eight<T> x = {};
    if (wide && is_eight(count)) {
        x = *reinterpret_cast<const eight<T> *>(p);
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            if (i < count) x.at[i] = p[i];
        }
    }
    return x;
}

template <class T> DEVICE void put_eight(T *p, const eight<T> &x, int count, bool wide) {
    if (wide && is_eight(count)) {
        *reinterpret_cast<eight<T> *>(p) = x;
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            if (i < count) p[i] = x.at[i];
        }
    }
}

template <class T> DEVICE void load_eight(float (&x)[8], const T *p, int count, bool wide) {
    const eight<T> all = get_eight(p, count, wide);
#pragma unroll
    for (int i = 0; i < 8; i++) x[i] = to_float(all.at[i]);
}

template <class T> DEVICE void store_eight(T *p, const float (&x)[8], int count, bool wide) {
    eight<T> all;
#pragma unroll
    for (int i = 0; i < 8; i++) all.at[i] = from_float<T>(x[i]);
    put_eight(p, all, count, wide);
}

/* An operand of float32, or of the half type H: float where there is none. */
template <class H> struct real_rows {
    const ingot_cuda_arg &a;
    bool single, wide;

    DEVICE explicit real_rows(const ingot_cuda_arg &operand) : a(operand) {
        single = sizeof(H) == 4 || a.dtype == DTYPE_F32;
        wide = single ? in_eights<float>(a) : in_eights<H>(a);
    }
    DEVICE void load(float (&x)[8], int64_t at, int count) const {
        if (single) {
            load_eight(x, static_cast<const float *>(a.data) + at, count, wide);
        } else {
            load_eight(x, static_cast<const H *>(a.data) + at, count, wide);
        }
    }
    DEVICE void store(const float (&x)[8], int64_t at, int count) const {
        if (single) {
            store_eight(static_cast<float *>(a.data) + at, x, count, wide);
        } else {
            store_eight(static_cast<H *>(a.data) + at, x, count, wide);
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
    template <class T> static DEVICE eight<T> get(int which, int column) {
        return *reinterpret_cast<const eight<T> *>(table() + which * Tile::columns + column);
    }
};

/* Eight elements as they lie in memory: what is only kept is not taken apart. */
template <class T> struct alignas(alignof(eight<T>)) eight_words {
    static constexpr int per_word = 4 / (int)sizeof(T), bits = 8 * (int)sizeof(T);
    uint32_t at[2 * sizeof(T)];

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

/* The first `count` of eight elements one by one, zeros behind. */
template <class T> DEVICE eight_words<T> get_words(const T *p, int count) {
    typedef eight_words<T> words;
    words x = {};
#pragma unroll
    for (int i = 0; i < 8; i++) {
        if (i < count) x.at[i / words::per_word] |= raw_bits(p[i]) << (i % words::per_word * words::bits);
    }
    return x;
}

DEVICE void put_words(int8_t *p, const eight_words<int8_t> &x, int count, bool wide) {
    if (wide && is_eight(count)) {
        *reinterpret_cast<eight_words<int8_t> *>(p) = x;
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) {
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
    static constexpr int all = (Tile::rows + share::step - 1) / share::step, most = sizeof(T) == 4 ? 2 : 4;
    static constexpr int depth = all < most ? all : most;

    const T *data;
    int64_t pitch;
    int next, count;
    bool wide;
    eight_words<T> kept[depth];

    /* Of `columns` elements from `column` on. */
    DEVICE void begin(const ingot_cuda_arg &a, const Rows &rows, int row, int column, int columns) {
        data = static_cast<const T *>(a.data) + column;
        pitch = a.pitch;
        next = row;
        count = columns;
        wide = is_eight(count) && in_eights<T>(a);
#pragma unroll
        for (int i = 0; i < depth; i++) kept[i] = read(rows);
    }
    DEVICE eight_words<T> read(const Rows &rows) {
        eight_words<T> x = {};
        if (wide && next < Tile::rows && rows.has(next)) {
            x = *reinterpret_cast<const eight_words<T> *>(data + rows.at(next) * pitch);
        }
        next += share::step;
        return x;
    }
    /* Those of `row`, which is the next. */
    DEVICE eight_words<T> take(const Rows &rows, int row) {
        if (!wide) return get_words(data + rows.at(row) * pitch, count);
        const eight_words<T> x = kept[0];
#pragma unroll
        for (int i = 0; i + 1 < depth; i++) kept[i] = kept[i + 1];
        if constexpr (all > depth) kept[depth - 1] = read(rows);
        return x;
    }
};

/* activation(alpha * sum + bias + residual), in float32; results and residual in it or in H. */
template <int KIND, class H, class Tile, class Rows = rows_in_order> struct finish_real {
    const ingot_cuda_arg &bias, &residual, &out;
    finish_share<Tile> mine;
    Rows rows;
    int first_column, column;
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
        const real_rows<H> to(out);
        const bool kept = is_ahead(), wide = in_eights<float>(residual);
        const eight<float> add = numbers.template get<float>(0, mine.column);
#pragma unroll 1
        for (int r = mine.row; r < Tile::rows; r += finish_share<Tile>::step) {
            if (!rows.has(r)) continue;
            float x[8], old[8];
            load_eight(x, sums + r * Tile::sum_pitch + mine.column, 8, true);
            if (kept) {
                const eight_words<H> taken = ahead.take(rows, r);
#pragma unroll
                for (int i = 0; i < 8; i++) old[i] = taken.real(i);
            } else if (residual.dtype != DTYPE_NONE) {
                load_eight(old, static_cast<const float *>(residual.data) + rows.at(r) * residual.pitch + column, count,
                           wide);
            } else {
#pragma unroll
                for (int i = 0; i < 8; i++) old[i] = 0.0f;
            }
#pragma unroll
            for (int i = 0; i < 8; i++) x[i] = act(fma_f32(alpha, x[i], add.at[i]) + old[i]);
            to.store(x, rows.at(r) * out.pitch + column, count);
        }
    }
};

/* Exact integers, as gemm_s8.h says. Sums of the weights may be absent; the scale is one number, or one a column. */
template <class Tile, class Rows = rows_in_order> struct finish_s8 {
    const ingot_cuda_arg &bias, &residual, &weight_sums, &scale, &out;
    finish_share<Tile> mine;
    Rows rows;
    int first_column, column;
    column_numbers<Tile, 3> numbers; /* what is added to sums, their scale, what is added to real numbers */
    uint32_t weight_sum, whole_bias;
    rows_ahead<int8_t, Tile, Rows> ahead;

    DEVICE finish_s8(const ingot_cuda_arg &bias_, const ingot_cuda_arg &residual_, const ingot_cuda_arg &sums,
                     const ingot_cuda_arg &scale_, const ingot_cuda_arg &out_, int column_, const Rows &rows_)
        : bias(bias_), residual(residual_), weight_sums(sums), scale(scale_), out(out_),
          mine(out_.dims[out_.rank - 1] - column_), rows(rows_), first_column(column_), column(column_ + mine.column) {}
    DEVICE finish_s8(const ingot_cuda_arg &bias_, const ingot_cuda_arg &residual_, const ingot_cuda_arg &sums,
                     const ingot_cuda_arg &scale_, const ingot_cuda_arg &out_, const tile_place<Tile> &at,
                     int64_t first, int count)
        : finish_s8(bias_, residual_, sums, scale_, out_, at.column, Rows{first + at.row, count - at.row}) {}

    DEVICE void begin() {
        const int own = (int)threadIdx.x, at = first_column + own;
        weight_sum = whole_bias = 0;
        numbers.own[1] = numbers.own[2] = 0;
        if (own < Tile::columns && at < out.dims[out.rank - 1]) {
            if (weight_sums.dtype != DTYPE_NONE) weight_sum = static_cast<const uint32_t *>(weight_sums.data)[at];
            if (bias.dtype == DTYPE_I32) {
                whole_bias = static_cast<const uint32_t *>(bias.data)[at];
            } else if (bias.dtype != DTYPE_NONE) {
                numbers.own[2] = static_cast<const uint32_t *>(bias.data)[at];
            }
            numbers.own[1] = static_cast<const uint32_t *>(scale.data)[scale.dims[0] == 1 ? 0 : at];
        }
        if (residual.dtype != DTYPE_NONE) ahead.begin(residual, rows, mine.row, column, mine.count);
    }

    DEVICE void operator()(const int32_t *sums, const ingot_s8_numbers &s8, const ingot_activation &kind) {
        const int count = mine.count;
        numbers.own[0] = weight_sum * (0u - (uint32_t)s8.input_zero) + whole_bias;
        numbers.put();
        sync_block();
        if (count == 0 || mine.row >= Tile::rows) return;
        const end_s8 end(s8, kind);
        const bool stores = out.dtype == DTYPE_I8, adds = residual.dtype != DTYPE_NONE;
        const bool wide = stores ? in_eights<int8_t>(out) : in_eights<float>(out);
        const eight<uint32_t> offset = numbers.template get<uint32_t>(0, mine.column);
        const eight<float> factor = numbers.template get<float>(1, mine.column);
        const eight<float> add = numbers.template get<float>(2, mine.column);
#pragma unroll 1
        for (int r = mine.row; r < Tile::rows; r += finish_share<Tile>::step) {
            if (!rows.has(r)) continue;
            const eight<uint32_t> x =
                *reinterpret_cast<const eight<uint32_t> *>(sums + r * Tile::sum_pitch + mine.column);
            float y[8];
#pragma unroll
            for (int i = 0; i < 8; i++) y[i] = end.scaled((int32_t)(x.at[i] + offset.at[i]), factor.at[i], add.at[i]);
            if (adds) {
                const eight_words<int8_t> old = ahead.take(rows, r);
#pragma unroll
                for (int i = 0; i < 8; i++) y[i] = end.with_residual(y[i], old.real(i));
            }
            const int64_t to = rows.at(r) * out.pitch + column;
            if (stores) {
                const eight_words<int8_t> z = {
                    {end.stored4(y[0], y[1], y[2], y[3]), end.stored4(y[4], y[5], y[6], y[7])}};
                put_words(static_cast<int8_t *>(out.data) + to, z, count, wide);
            } else {
#pragma unroll
                for (int i = 0; i < 8; i++) y[i] = end.real(y[i]);
                store_eight(static_cast<float *>(out.data) + to, y, count, wide);
            }
        }
    }
};

} // namespace ingot

#endif
