/* The body of the INT8 depthwise micro-kernel that goes column by column, for one instruction set.
 *
 * The lines of a column are interleaved once and serve all windows that the column belongs to, where the kernel of runs
 * interleaves every tap of every window. In return 64 lanes are channels of one pixel. */
#include "depthwise_s8_impl.h"

enum { S8_WINDOW = 3 /* columns */ };

/* Only where all of it is in registers. */
#if defined(S8_DIRECT)
#define S8_COLUMNS_UNROLL _Pragma("GCC unroll 4")
#define S8_COLUMNS_INLINE S8_INLINE
#else
#define S8_COLUMNS_UNROLL
#define S8_COLUMNS_INLINE static __attribute__((noinline, noclone))
#endif

/* A column, or sums that are not complete, of 64 lanes. */
typedef struct s8_column {
    s8_factor x[S8_PARTS][4];
} s8_column;

typedef struct s8_open {
    s8_sum sum[S8_PARTS][4];
} s8_open;

typedef struct s8_column_weights {
    s8_weights w[S8_PARTS][4];
} s8_column_weights;

S8_INLINE s8_column s8_read_column(const int8_t *const *lines, int64_t at) {
    s8_column column;
    S8_COLUMNS_UNROLL
    for (int part = 0; part < S8_PARTS; part++) {
        s8_bytes x[4];
        S8_COLUMNS_UNROLL
        for (int i = 0; i < 4; i++) {
            x[i] = s8_load(lines[i] + at + part * S8_BYTES);
        }
        s8_interleave(x);
        S8_COLUMNS_UNROLL
        for (int i = 0; i < 4; i++) {
            column.x[part][i] = s8_widen(x[i]);
        }
    }
    return column;
}

S8_INLINE s8_open s8_open_window(void) {
    s8_open open;
    S8_COLUMNS_UNROLL
    for (int part = 0; part < S8_PARTS; part++) {
        S8_COLUMNS_UNROLL
        for (int i = 0; i < 4; i++) {
            open.sum[part][i] = s8_zero();
        }
    }
    return open;
}

S8_INLINE s8_open s8_add_column(s8_open open, const s8_column *column, const s8_column_weights *weights) {
    S8_COLUMNS_UNROLL
    for (int part = 0; part < S8_PARTS; part++) {
        S8_COLUMNS_UNROLL
        for (int i = 0; i < 4; i++) {
            open.sum[part][i] = s8_dot(open.sum[part][i], column->x[part][i], weights->w[part][i]);
        }
    }
    return open;
}

S8_INLINE s8_quarters s8_close_window(const s8_open *open) {
    s8_quarters result;
#if defined(S8_DIRECT)
    S8_COLUMNS_UNROLL
    for (int i = 0; i < 4; i++) {
        result.quarter[i] = open->sum[0][i];
    }
#else
    int32_t sums[INGOT_S8_LANES];
    for (int part = 0; part < S8_PARTS; part++) {
        for (int i = 0; i < 4; i++) {
            s8_store(sums + i * INGOT_GEMM_NR + part * S8_COLUMNS, open->sum[part][i]);
        }
    }
    for (int i = 0; i < 4; i++) {
        result.quarter[i] = s8_load_lanes(sums + i * INGOT_GEMM_NR);
    }
#endif
    return result;
}

#if defined(S8_PACKED)
/* What is written behind the channels of a pixel belongs to results that are still to come: the last block is the first
 * to be done. */
S8_INLINE void s8_pack_pixel(const ingot_depthwise_s8 *run, const s8_pack_numbers *numbers,
                             const ingot_depthwise_columns *c, s8_quarters sums, int64_t pixel, int64_t lane) {
    int8_t *out = (int8_t *)run->out + pixel * run->out_pitch + lane;
    const int64_t end = lane + INGOT_S8_LANES, left = (run->pixels - pixel) * run->lanes;
    if (end <= run->lanes || (run->out_pitch == run->lanes && end <= left)) {
        s8_pack_lanes(numbers, c, sums, out);
    } else {
        int8_t some[INGOT_S8_LANES];
        s8_pack_lanes(numbers, c, sums, some);
        (void)ingot_s8_copy(out, some, run->lanes - lane);
    }
}
#endif

/* A block of lanes of all pixels. Where it is inlined, `stride` and `packed` are constants; `packed`: the result is
 * int8, tame and without residual. */
S8_COLUMNS_INLINE void s8_columns_block(const ingot_depthwise_s8 *run, int64_t block, const int64_t stride,
                                        const int packed) {
    const ingot_depthwise_columns *c = run->columns + block;
    const int64_t lane = block * INGOT_S8_LANES, step = run->lanes;
    const int8_t *const lines[4] = {run->taps[0] + lane, run->taps[1] + lane, run->taps[2] + lane, run->taps[3] + lane};
    s8_column_weights weights[S8_WINDOW];
    for (int k = 0; k < S8_WINDOW; k++) {
        const int8_t *of = run->weights + (block * S8_WINDOW + k) * INGOT_S8_LANES_BLOCK;
        for (int part = 0; part < S8_PARTS; part++) {
            for (int i = 0; i < 4; i++) {
                weights[k].w[part][i] = s8_load_weights(of + part * S8_BYTES + i * INGOT_S8_LANES);
            }
        }
    }
#if defined(S8_PACKED)
    const s8_pack_numbers numbers = s8_read_pack_numbers(&run->tile);
#endif
    s8_column column = s8_read_column(lines, 0);
    s8_open first = s8_add_column(s8_open_window(), &column, &weights[0]), second = first;
    if (stride == 1) {
        column = s8_read_column(lines, step);
        second = s8_add_column(first, &column, &weights[1]);
        first = s8_add_column(s8_open_window(), &column, &weights[0]);
    }
    ingot_depthwise_s8 one = *run;
    for (int64_t pixel = 0, at = 2 * step; pixel < run->pixels; pixel++, at += stride * step) {
        if (stride == 2) {
            column = s8_read_column(lines, at - step);
            second = s8_add_column(first, &column, &weights[1]);
        }
        column = s8_read_column(lines, at);
        const s8_open done = s8_add_column(second, &column, &weights[2]);
        if (stride == 1) {
            second = s8_add_column(first, &column, &weights[1]);
        }
        first = s8_add_column(s8_open_window(), &column, &weights[0]);
        const s8_quarters sums = s8_close_window(&done);
#if defined(S8_PACKED)
        if (packed) {
            s8_pack_pixel(run, &numbers, c, sums, pixel, lane);
            continue;
        }
#endif
        one.out = (char *)run->out + pixel * run->out_pitch * (run->tile.float_out ? (int64_t)sizeof(float) : 1);
        one.residual = run->residual != NULL ? run->residual + pixel * run->residual_pitch : NULL;
        s8_finish_lanes(&one, c, &sums, lane);
    }
}

static void s8_depthwise_columns(const ingot_depthwise_s8 *run) {
    const int packed = run->tame && run->residual == NULL && !run->tile.float_out;
    for (int64_t block = (run->lanes + INGOT_S8_LANES - 1) / INGOT_S8_LANES - 1; block >= 0; block--) {
#if defined(S8_DIRECT)
        if (packed && run->stride == 1) {
            s8_columns_block(run, block, 1, 1);
            continue;
        }
        if (packed) {
            s8_columns_block(run, block, 2, 1);
            continue;
        }
#endif
        s8_columns_block(run, block, run->stride, packed);
    }
}

/* Two rows of results, of which a column, with four lines, is interleaved once for both; their weights differ by one
 * line. Sums of some pixels: of one, where those of 64 lanes are in registers, else part by part of the lanes. */
enum { S8_PAIR_PIXELS = S8_PARTS == 1 ? 1 : 8 };

typedef struct s8_pair_sums {
    s8_quarters row[2];
} s8_pair_sums;

typedef struct s8_part {
    s8_factor x[4];
} s8_part;

S8_INLINE s8_part s8_read_part(const int8_t *const *lines, int64_t at) {
    s8_bytes x[4];
    s8_part part;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        x[i] = s8_load(lines[i] + at);
    }
    s8_interleave(x);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        part.x[i] = s8_widen(x[i]);
    }
    return part;
}

S8_INLINE void s8_add_part(s8_sum *sum, const s8_part *part, const int8_t *weights) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        sum[i] = s8_dot(sum[i], part->x[i], s8_load_weights(weights + i * INGOT_S8_LANES));
    }
}

/* Both rows of a pixel. */
S8_INLINE void s8_add_window(const s8_part *before, const s8_part *middle, const s8_part *last,
                             const int8_t *const *weights, int part, s8_pair_sums *sums) {
    S8_COLUMNS_UNROLL
    for (int row = 0; row < 2; row++) {
        const int8_t *w = weights[row] + part * S8_BYTES;
        s8_sum sum[4] = {s8_zero(), s8_zero(), s8_zero(), s8_zero()};
        s8_add_part(sum, before, w);
        s8_add_part(sum, middle, w + INGOT_S8_LANES_BLOCK);
        s8_add_part(sum, last, w + 2 * INGOT_S8_LANES_BLOCK);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
#if defined(S8_DIRECT)
            sums->row[row].quarter[i] = sum[i];
#else
            s8_store((int32_t *)(void *)&sums->row[row].quarter[i] + part * S8_COLUMNS, sum[i]);
#endif
        }
    }
}

/* Pixels `from` to `to` of both rows, a block of lanes. `packed`, a constant where it is inlined: the results are int8,
 * tame and without residual, and what is written behind the channels of a pixel belongs to results that are still to
 * come. */
S8_COLUMNS_INLINE void s8_pairs_pixels(const ingot_depthwise_s8 *run, int64_t block, int64_t from, int64_t to,
                                       const int packed) {
    const ingot_depthwise_columns *c = run->columns + block;
    const int64_t lane = block * INGOT_S8_LANES, step = run->lanes;
    const int8_t *const lines[4] = {run->taps[0] + lane, run->taps[1] + lane, run->taps[2] + lane, run->taps[3] + lane};
    const int8_t *const weights[2] = {run[0].weights + block * S8_WINDOW * INGOT_S8_LANES_BLOCK,
                                      run[1].weights + block * S8_WINDOW * INGOT_S8_LANES_BLOCK};
#if defined(S8_PACKED)
    const s8_pack_numbers numbers = s8_read_pack_numbers(&run->tile);
    int8_t *const out[2] = {(int8_t *)run[0].out + lane, (int8_t *)run[1].out + lane};
    const int64_t pitch = run->out_pitch;
#endif
    s8_pair_sums sums[S8_PAIR_PIXELS];
#if defined(S8_DIRECT)
    s8_part before = s8_read_part(lines, from * step), middle = s8_read_part(lines, (from + 1) * step);
#endif
    for (int64_t first = from; first < to; first += S8_PAIR_PIXELS) {
        const int64_t count = to - first < S8_PAIR_PIXELS ? to - first : S8_PAIR_PIXELS;
#if defined(S8_DIRECT)
        const s8_part last = s8_read_part(lines, (first + 2) * step);
        s8_add_window(&before, &middle, &last, weights, 0, sums);
        before = middle;
        middle = last;
#else
        for (int part = 0; part < S8_PARTS; part++) {
            const int64_t at = first * step + part * S8_BYTES;
            s8_part before = s8_read_part(lines, at), middle = s8_read_part(lines, at + step);
            for (int64_t i = 0; i < count; i++) {
                const s8_part last = s8_read_part(lines, at + (i + 2) * step);
                s8_add_window(&before, &middle, &last, weights, part, &sums[i]);
                before = middle;
                middle = last;
            }
        }
#endif
        for (int64_t k = 0; k < count; k++) {
            const int64_t pixel = first + k;
            s8_quarters *row = sums[k].row;
#if defined(S8_PACKED)
            if (packed) {
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++) {
                    const int32_t *offset = c->offset[S8_FLIP != 0] + i * INGOT_GEMM_NR;
                    const s8_columns columns =
                        s8_make_columns(offset, c->scale + i * INGOT_GEMM_NR, c->bias + i * INGOT_GEMM_NR);
                    row[0].quarter[i] = s8_scale_lanes(&numbers, &columns, row[0].quarter[i]);
                    row[1].quarter[i] = s8_scale_lanes(&numbers, &columns, row[1].quarter[i]);
                }
                s8_pack_quarters(&numbers, row[0].quarter, out[0] + pixel * pitch);
                s8_pack_quarters(&numbers, row[1].quarter, out[1] + pixel * pitch);
                continue;
            }
#endif
            for (int i = 0; i < 2; i++) {
                ingot_depthwise_s8 one = run[i];
                one.out = (char *)one.out + pixel * one.out_pitch * (one.tile.float_out ? (int64_t)sizeof(float) : 1);
                one.residual = one.residual != NULL ? one.residual + pixel * one.residual_pitch : NULL;
                s8_finish_lanes(&one, c, &row[i], lane);
            }
        }
    }
}

#if defined(S8_DIRECT)
static __attribute__((noinline, noclone)) void s8_pairs_finished(const ingot_depthwise_s8 *run, int64_t block,
                                                                 int64_t from) {
    s8_pairs_pixels(run, block, from, run->pixels, 0);
}
#else
#define s8_pairs_finished(run, block, from) s8_pairs_pixels(run, block, from, (run)->pixels, 0)
#endif

static void s8_depthwise_pairs(const ingot_depthwise_s8 *run) {
    for (int64_t block = (run->lanes + INGOT_S8_LANES - 1) / INGOT_S8_LANES - 1; block >= 0; block--) {
        int64_t packed = 0;
#if defined(S8_PACKED)
        const int64_t end = (block + 1) * INGOT_S8_LANES, lanes = run->lanes;
        if (run->tame && run->residual == NULL && !run->tile.float_out) {
            packed = end <= lanes ? run->pixels : run->out_pitch == lanes ? run->pixels - (end - 1) / lanes : 0;
        }
        if (packed > 0) {
            s8_pairs_pixels(run, block, 0, packed, 1);
        }
#endif
        if (packed < run->pixels) {
            s8_pairs_finished(run, block, packed > 0 ? packed : 0);
        }
    }
}
