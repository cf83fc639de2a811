/* The body of the INT8 depthwise micro-kernel for one instruction set: runs of lanes, four taps at a time. */
#include "finish_s8.h"
#include "gemm_s8.h"
#include "s8_dot.h"

enum { S8_PARTS = INGOT_S8_LANES / S8_BYTES };

/* Sums of 64 lanes, [quarter of 16][which 16][lane]. */
typedef struct s8_quarters {
    s8_lanes quarter[4];
} s8_quarters;

/* `steps`, unless 0, is a constant where this is inlined. */
S8_INLINE s8_quarters s8_sum_lanes(const int8_t *const *taps, int64_t at, const int8_t *weights, int64_t steps) {
    s8_quarters result;
#if !defined(S8_DIRECT)
    int32_t sums[INGOT_S8_LANES];
#endif
    for (int part = 0; part < S8_PARTS; part++) {
        const int8_t *w = weights + part * S8_BYTES;
        s8_sum sum[4] = {s8_zero(), s8_zero(), s8_zero(), s8_zero()};
        for (int64_t step = 0; step < steps; step++, w += INGOT_S8_LANES_BLOCK) {
            s8_bytes x[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                x[i] = s8_load(taps[step * INGOT_S8_STEP + i] + at + part * S8_BYTES);
            }
            s8_interleave(x);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                sum[i] = s8_dot(sum[i], s8_widen(x[i]), s8_load_weights(w + i * INGOT_S8_LANES));
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
#if defined(S8_DIRECT)
            result.quarter[i] = sum[i];
#else
            s8_store(sums + i * INGOT_GEMM_NR + part * S8_COLUMNS, sum[i]);
#endif
        }
    }
#if !defined(S8_DIRECT)
    for (int i = 0; i < 4; i++) {
        result.quarter[i] = s8_load_lanes(sums + i * INGOT_GEMM_NR);
    }
#endif
    return result;
}

/* The epilogue for any lanes: brings everything into the order of the result first. */
static void s8_finish_lanes(const ingot_depthwise_s8 *run, const ingot_depthwise_columns *c, const s8_quarters *sums,
                            int64_t lane) {
    const ingot_gemm_s8 *t = &run->tile;
    const s8_numbers numbers = s8_read_numbers(t);
    const int64_t left = run->lanes - lane, element = t->float_out ? (int64_t)sizeof(float) : 1;
    int32_t sum[INGOT_S8_LANES], factors[INGOT_S8_LANES];
    float scale[INGOT_S8_LANES], bias[INGOT_S8_LANES];
    for (int i = 0; i < INGOT_S8_LANES; i += 4) {
        const int from = ingot_depthwise_place(i);
        memcpy(sum + i, (const int32_t *)(const void *)sums + from, 4 * sizeof *sum);
        memcpy(factors + i, c->offset[S8_FLIP != 0] + from, 4 * sizeof *factors);
        memcpy(scale + i, c->scale + from, 4 * sizeof *scale);
        memcpy(bias + i, c->bias + from, 4 * sizeof *bias);
    }
    for (int64_t i = 0; i < INGOT_S8_LANES && i < left; i += INGOT_GEMM_NR) {
        const int64_t count = left - i < INGOT_GEMM_NR ? left - i : INGOT_GEMM_NR;
        const s8_columns columns = s8_make_columns(factors + i, scale + i, bias + i);
        char *out = (char *)run->out + (lane + i) * element;
        const int8_t *residual = run->residual != NULL ? run->residual + lane + i : NULL;
        if (t->float_out) {
            s8_finish_row(&numbers, &columns, s8_load_lanes(sum + i), count, out, residual, 0);
        } else {
            s8_finish_row(&numbers, &columns, s8_load_lanes(sum + i), count, out, residual, 1);
        }
    }
}

#if defined(S8_PACKED)
/* All 64 lanes, without residual, to int8, where nothing overflows before it is clamped: as integers, by packing. */
S8_INLINE void s8_pack_lanes(const s8_pack_numbers *n, const ingot_depthwise_columns *c, s8_quarters sums,
                             int8_t *out) {
    s8_lanes whole[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const int at = i * INGOT_GEMM_NR;
        const s8_columns columns = s8_make_columns(c->offset[S8_FLIP != 0] + at, c->scale + at, c->bias + at);
        whole[i] = s8_scale_lanes(n, &columns, sums.quarter[i]);
    }
    s8_pack_quarters(n, whole, out);
}
#endif

S8_INLINE void s8_run(const ingot_depthwise_s8 *run, const int64_t steps) {
    const int64_t lanes = run->lanes, blocks = run->blocks, offset = run->offset;
#if defined(S8_PACKED)
    const int packed = run->tame && run->residual == NULL && !run->tile.float_out;
    const s8_pack_numbers numbers = s8_read_pack_numbers(&run->tile);
    int8_t *out = run->out;
#endif
    const int8_t *const *taps = run->taps;
    const int8_t *weights = run->weights;
    const ingot_depthwise_columns *columns = run->columns;
    for (int64_t lane = 0, block = 0; lane < lanes; lane += INGOT_S8_LANES) {
        const s8_quarters sums = s8_sum_lanes(taps, offset + lane, weights, steps);
#if defined(S8_PACKED)
        if (packed && lane + INGOT_S8_LANES <= lanes) {
            s8_pack_lanes(&numbers, columns, sums, out + lane);
        } else if (packed) {
            int8_t some[INGOT_S8_LANES];
            s8_pack_lanes(&numbers, columns, sums, some);
            memcpy(out + lane, some, (size_t)(lanes - lane));
        } else
#endif
        {
            s8_finish_lanes(run, columns, &sums, lane);
        }
        weights += steps * INGOT_S8_LANES_BLOCK;
        columns++;
        if (++block == blocks) {
            block = 0;
            weights = run->weights;
            columns = run->columns;
        }
    }
}

static void s8_depthwise(const ingot_depthwise_s8 *run) {
    if (run->steps == 3) {
        s8_run(run, 3); /* 3x3 */
    } else {
        s8_run(run, run->steps);
    }
}
