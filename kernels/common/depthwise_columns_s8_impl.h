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
