/* The bodies of the INT8 micro-kernels for one instruction set, in terms of its s8_dot.h. Blocks leave their sums in a
 * small buffer for the epilogue; only where a vector is a whole panel, and all of it is stored, do they go there in
 * registers. */
#include "depthwise_columns_s8_impl.h"
#include "finish_s8.h"
#include "gemm_s8.h"
#include "s8_dot.h"
#if defined(S8_DIRECT)
#include "direct_s8.h"
#endif

/* [panel][row][column], of the panels done together. */
typedef int32_t s8_panel_sums[INGOT_GEMM_MR][INGOT_GEMM_NR];

/* A few rows by a few vectors of columns. */
typedef struct s8_job {
    const void *const *rows;
    const int8_t *weights;
    int64_t taps, steps;
    int64_t weights_stride, sums_stride; /* from one vector of columns to the next */
    int32_t *sums;
    int32_t mr;
    const ingot_gemm_s8 *direct; /* NULL, or whose results the sums become at once */
    int64_t column;              /* then: the first in out */
    int32_t row;
} s8_job;

/* `rows` and `vectors` are constants where this is inlined; rows beyond mr repeat the first. */
S8_INLINE void s8_block(const s8_job *job, const int rows, const int vectors) {
    const int8_t *w = job->weights;
    const void *const *from = job->rows;
    s8_sum sum[S8_ROWS][S8_VECTORS], start[S8_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) start[v] = s8_zero();
#if defined(S8_DIRECT)
    s8_columns columns[S8_VECTORS];
    if (job->direct != NULL) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            columns[v] = s8_read_columns(job->direct, job->column + v * INGOT_GEMM_NR, INGOT_GEMM_NR);
            start[v] = columns[v].offset;
        }
    }
#endif
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            sum[r][v] = start[v];
        }
    }
    for (int64_t tap = 0; tap < job->taps; tap++, from += INGOT_GEMM_MR) {
        const int8_t *x[S8_ROWS];
#pragma GCC unroll 10
        for (int r = 0; r < rows; r++) {
            x[r] = from[r < job->mr ? r : 0];
        }
        for (int64_t k = 0; k < job->steps; k++, w += INGOT_S8_BLOCK) {
            s8_weights weights[S8_VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) {
                weights[v] = s8_load_weights(w + v * job->weights_stride);
            }
#pragma GCC unroll 10
            for (int r = 0; r < rows; r++) {
                const s8_factor four = s8_splat(x[r] + k * INGOT_S8_STEP);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++) {
                    sum[r][v] = s8_dot(sum[r][v], four, weights[v]);
                }
            }
        }
    }
#if defined(S8_DIRECT)
    if (job->direct != NULL) {
        const ingot_gemm_s8 *t = job->direct;
        const s8_direct_numbers numbers = s8_read_direct(t);
        const s8_direct direct = {(int8_t *const *)t->out + job->row,
                                  t->residual != NULL ? t->residual + job->row : NULL, job->column, job->mr};
        s8_finish_direct(&numbers, columns, &direct, sum, rows, vectors);
        return;
    }
#endif
#pragma GCC unroll 10
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            s8_store(job->sums + v * job->sums_stride + r * INGOT_GEMM_NR, sum[r][v]);
        }
    }
}

typedef void (*s8_block_fn)(const s8_job *job);

#define S8_BLOCK_FUNCTION(rows, vectors)                                                                               \
    static void s8_block_##rows##x##vectors(const s8_job *job) { s8_block(job, rows, vectors); }

S8_BLOCK_FUNCTIONS

/* All rows of the tile by the panels from `first` on, `panels` of them. `direct`: sums of whole panels become
 * results at once. */
static void s8_panels(const ingot_gemm_s8 *t, int64_t first, int panels, int direct, s8_panel_sums *sums) {
    const int8_t *weights = t->weights + first / INGOT_GEMM_NR * t->panel_stride;
    direct = direct && t->columns - first >= panels * INGOT_GEMM_NR;
    const int wide = S8_COLUMNS == 16; /* a vector is a panel, and a block several of them */
    const int vectors = wide ? panels : S8_VECTORS;
    const int all = (int)S8_ROWS >= (int)INGOT_GEMM_MR; /* no need to divide, which takes long */
    const int blocks = all ? 1 : (t->mr + S8_ROWS - 1) / S8_ROWS;
    const int base = all ? t->mr : t->mr / blocks, longer = all ? 0 : t->mr % blocks;
    for (int b = 0, row = 0; b < blocks; b++) {
        const int mr = base + (b < longer);
        for (int v = 0; v < (wide ? vectors : INGOT_GEMM_NR / S8_COLUMNS); v += vectors) {
            const s8_job job = {
                .rows = t->rows + row,
                .weights = weights + v * S8_BYTES,
                .taps = t->taps,
                .steps = t->steps,
                .weights_stride = wide ? t->panel_stride : S8_BYTES,
                .sums_stride = wide ? INGOT_GEMM_MR * INGOT_GEMM_NR : S8_COLUMNS,
                .sums = &sums[0][row][v * S8_COLUMNS],
                .mr = mr,
                .direct = direct ? t : NULL,
                .column = t->column + first,
                .row = row,
            };
            s8_find_block(mr, vectors)(&job);
        }
        row += mr;
    }
    if (direct) {
        return;
    }
    if (t->row_offset != NULL) {
        for (int i = 0; i < panels * INGOT_GEMM_MR * INGOT_GEMM_NR; i++) {
            const int row = i / INGOT_GEMM_NR % INGOT_GEMM_MR;
            int32_t *sum = &sums[0][0][0] + i;
            *sum = (int32_t)((uint32_t)*sum + (uint32_t)(row < t->mr ? t->row_offset[row] : 0));
        }
    }
    for (int p = 0; p < panels; p++) {
        s8_finish(t, (const int32_t(*)[INGOT_GEMM_NR])sums[p], first + p * INGOT_GEMM_NR);
    }
}

static void s8_tile(const ingot_gemm_s8 *t) {
    s8_panel_sums sums[S8_MOST_PANELS];
#if defined(S8_DIRECT)
    const int direct = !t->float_out && t->row_offset == NULL && s8_is_tame(t, t->column, t->columns);
#else
    const int direct = 0;
#endif
    for (int64_t first = 0; first < t->columns;) {
        const int64_t left = (t->columns - first + INGOT_GEMM_NR - 1) / INGOT_GEMM_NR;
        const int panels = s8_panels_together(t->mr, left);
        s8_panels(t, first, panels, direct, sums);
        first += panels * INGOT_GEMM_NR;
    }
}

const ingot_gemm_s8_isa INGOT_PASTE(ingot_, gemm_s8, INGOT_ISA) = {
    .tile = s8_tile,
    .depthwise = s8_depthwise,
    .depthwise_columns = s8_depthwise_columns,
    .depthwise_pairs = s8_depthwise_pairs,
};
