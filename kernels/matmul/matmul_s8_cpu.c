/* Matrix product of int8, exact on every instruction set.
 *
 * matmul_s8_n16k4: the right operand is a constant, packed in panels: [ceil(N / 16)][ceil(K / 4)][16][4]. All matrices
 * of a are stacked, as in matmul_f32_n16. Weights in parts that are to be added stand behind each other in each panel,
 * [ceil(N / 16)][parts * ceil(K / 4)][16][4]. matmul_s8: the right operand comes as it is; a work unit packs a few
 * panels of one matrix in its scratch and does all rows with them. */
#include "integers.h"
#include "matmul_s8.h"
#include "matmul_shape.h"

enum { SUMS = 4, SCALE = 5 }; /* operands behind those of every product */
enum { ROW_PANELS = 8, FREE_PANELS = 4, FREE_COLUMNS = FREE_PANELS * INGOT_GEMM_NR };
enum { PARTS_MAX = 3 };

typedef struct s8_plan {
    ingot_matmul_shape shape;
    int64_t depth;           /* k, padded to whole steps */
    int64_t parts;           /* of the weights, which are to be added */
    int64_t rows;            /* of one a when it is transposed or b is not constant, else of all of them */
    int64_t matrices, tiles; /* tiles of one matrix */
    int64_t slices, slice_panels;
    int64_t copied; /* rows of a are brought into scratch */
    int64_t tile_major;
} s8_plan;

/* Parts of packed weights; 0 when there is no whole number of them. */
static int64_t count_parts(const ingot_arg *b, int64_t k) {
    const int64_t steps = k / INGOT_S8_STEP + (k % INGOT_S8_STEP != 0);
    if (steps == 0) {
        return b->dims[1] == 0;
    }
    return b->dims[1] % steps == 0 ? b->dims[1] / steps : 0;
}

static void plan_make(const ingot_call *call, int packed, s8_plan *plan) {
    const ingot_matmul_s8_params *p = call->params;
    ingot_matmul_shape *s = &plan->shape;
    (void)ingot_matmul_shape_read(call, packed, s);
    const int stacked = packed && !p->matmul.trans_a;
    const int64_t panels = ingot_ceil_div(s->n, INGOT_GEMM_NR);
    plan->depth = ingot_s8_padded(s->k);
    plan->parts = packed ? count_parts(&call->in[INGOT_MATMUL_B], s->k) : 1;
    plan->rows = stacked ? s->m * s->batches : s->m;
    plan->matrices = stacked ? 1 : s->batches;
    plan->tiles = ingot_ceil_div(plan->rows, ingot_s8_tile_rows(&p->tuning));
    plan->slice_panels = !packed                ? FREE_PANELS
                         : p->tuning.slice != 0 ? p->tuning.slice
                         : plan->rows == 1      ? ROW_PANELS
                                                : ingot_gemm_slice(panels, plan->parts * plan->depth * INGOT_GEMM_NR);
    plan->slices = ingot_ceil_div(panels, plan->slice_panels);
    plan->copied = p->matmul.trans_a || plan->depth != s->k;
    plan->tile_major = p->tuning.way == INGOT_MATMUL_S8_BY_ROWS ||
                       (p->tuning.way == INGOT_MATMUL_S8_AUTO &&
                        (plan->copied || panels * plan->parts * plan->depth * INGOT_GEMM_NR <= INGOT_GEMM_CACHED));
}

static const char *operands_check(const ingot_call *call, int packed, ingot_matmul_shape *s) {
    const ingot_matmul_s8_params *p = call->params;
    const ingot_arg *out = &call->out[0], *sums = &call->in[SUMS], *scale = &call->in[SCALE];
    const uint8_t bias = packed ? ingot_s8_bias_type(&call->in[INGOT_MATMUL_BIAS]) : INGOT_F32;
    const char *reason = ingot_matmul_types_check(call, INGOT_I8, out->dtype, bias);
    if (reason != NULL) {
        return reason;
    }
    if (out->dtype != INGOT_I8 && out->dtype != INGOT_F32) {
        return "matmul: element type";
    }
    reason = ingot_matmul_shape_read(call, packed, s);
    if (reason != NULL) {
        return reason;
    }
    if (!ingot_s8_numbers_valid(&p->numbers, &p->matmul.activation) || p->b_zero < -128 || p->b_zero > 127 ||
        p->reserved != 0 || !ingot_s8_tuning_valid(&p->tuning, INGOT_MATMUL_S8_WAYS) || p->matmul.alpha != 1.0f) {
        return "matmul: quantisation";
    }
    if (packed ? !ingot_s8_vector_valid(sums, INGOT_I32, s->n) : sums->dtype != INGOT_DTYPE_NONE) {
        return "matmul: sums";
    }
    if (!ingot_s8_vector_valid(scale, INGOT_F32, packed ? s->n : 1)) {
        return "matmul: scale";
    }
    return out->count > UINT32_MAX ? "matmul: too many work units" : NULL;
}

static const char *packed_check(const ingot_call *call) {
    const ingot_matmul_s8_params *p = call->params;
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *b = &call->in[INGOT_MATMUL_B], *out = &call->out[0];
    ingot_matmul_shape s;
    const char *reason = operands_check(call, 1, &s);
    if (reason != NULL) {
        return reason;
    }
    if (a->rank != out->rank || p->matmul.trans_b != 0 || p->b_zero != 0) {
        return "matmul: parameters of a packed product";
    }
    for (int i = 0; i < a->rank - 2; i++) {
        if (a->dims[i] != out->dims[i]) {
            return "matmul: batch axes";
        }
    }
    const int64_t k = a->dims[a->rank - (p->matmul.trans_a ? 2 : 1)];
    if (b->rank != 3 || b->pitch != INGOT_S8_BLOCK || b->dims[2] != INGOT_S8_BLOCK ||
        b->dims[0] != ingot_ceil_div(s.n, INGOT_GEMM_NR)) {
        return "matmul: weights";
    }
    const int64_t parts = count_parts(b, k);
    if (parts < 1 || parts > PARTS_MAX) {
        return "matmul: weights";
    }
    return NULL;
}

static const char *free_check(const ingot_call *call) {
    ingot_matmul_shape s;
    return operands_check(call, 0, &s);
}

static uint32_t plan_units(const ingot_call *call, int packed) {
    s8_plan plan;
    plan_make(call, packed, &plan);
    return (uint32_t)(plan.matrices * plan.slices * (packed ? plan.tiles : 1));
}

static uint32_t packed_units(const ingot_call *call) { return plan_units(call, 1); }
static uint32_t free_units(const ingot_call *call) { return call->out[0].count == 0 ? 0 : plan_units(call, 0); }

static uint64_t state_size(const ingot_call *call) {
    (void)call;
    return sizeof(s8_plan);
}

static void packed_prepare(const ingot_call *call) { plan_make(call, 1, call->state); }
static void free_prepare(const ingot_call *call) { plan_make(call, 0, call->state); }

static uint64_t rows_size(const s8_plan *plan) {
    return plan->copied ? (uint64_t)ingot_ceil_div(plan->depth * INGOT_GEMM_MR, 64) * 64 : 0;
}

/* What lies behind the copied rows in the scratch of matmul_s8: packed panels, then their columns. */
typedef struct free_columns {
    int32_t sums[FREE_COLUMNS];
    float scale[FREE_COLUMNS];
} free_columns;

static uint64_t packed_scratch_size(const ingot_call *call) {
    s8_plan plan;
    plan_make(call, 1, &plan);
    return rows_size(&plan);
}

static uint64_t free_scratch_size(const ingot_call *call) {
    s8_plan plan;
    plan_make(call, 0, &plan);
    return rows_size(&plan) + (uint64_t)plan.depth * FREE_COLUMNS + sizeof(free_columns);
}

/* A tile of rows: where they are, and where their results go. */
typedef struct s8_rows {
    const void *in[PARTS_MAX * INGOT_GEMM_MR]; /* the same for each part of the weights */
    void *out[INGOT_GEMM_MR];
    const int8_t *residual[INGOT_GEMM_MR];
    int32_t offset[INGOT_GEMM_MR];
} s8_rows;

/* Points at tile `index` of matrix `from`, whose results are matrix `to`, from column `column` of the result on. */
static void point(const ingot_call *call, const s8_plan *plan, int64_t index, int64_t from, int64_t to, int64_t column,
                  int8_t *copies, s8_rows *rows, ingot_gemm_s8 *tile) {
    const ingot_matmul_s8_params *p = call->params;
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *residual = &call->in[INGOT_MATMUL_RESIDUAL], *out = &call->out[0];
    const ingot_s8_cut cut = ingot_s8_cut_rows(plan->rows, ingot_s8_tile_rows(&p->tuning), index);
    const int64_t first = cut.first, k = plan->shape.k, element = tile->float_out ? (int64_t)sizeof(float) : 1;
    const int8_t *matrix = (const int8_t *)a->data + from * (p->matmul.trans_a ? k : plan->rows) * a->pitch;
    tile->mr = (int32_t)cut.count;
    for (int64_t r = 0; r < tile->mr; r++) {
        const int64_t row = to * plan->rows + first + r;
        const int8_t *x = matrix + (p->matmul.trans_a ? first + r : (first + r) * a->pitch);
        if (plan->copied) {
            int8_t *copy = copies + r * plan->depth;
            if (p->matmul.trans_a) {
                for (int64_t i = 0; i < k; i++) {
                    copy[i] = x[i * a->pitch];
                }
            } else {
                ingot_s8_copy(copy, x, k);
            }
            for (int64_t i = k; i < plan->depth; i++) {
                copy[i] = 0;
            }
            x = copy;
        }
        for (int64_t part = 0; part < plan->parts; part++) {
            rows->in[part * INGOT_GEMM_MR + r] = x;
        }
        rows->out[r] = (char *)out->data + (row * out->pitch + column) * element;
        if (tile->residual != NULL) {
            rows->residual[r] = (const int8_t *)residual->data + row * residual->pitch + column;
        }
    }
}

static ingot_gemm_s8 tile_begin(const ingot_call *call, const s8_plan *plan, s8_rows *rows) {
    const ingot_matmul_s8_params *p = call->params;
    ingot_gemm_s8 tile = {
        .rows = rows->in,
        .taps = plan->parts,
        .steps = plan->depth / INGOT_S8_STEP,
        .panel_stride = plan->parts * plan->depth * INGOT_GEMM_NR,
        .out = rows->out,
        .residual = call->in[INGOT_MATMUL_RESIDUAL].data != NULL ? rows->residual : NULL,
    };
    ingot_gemm_s8_describe(&p->numbers, &p->matmul.activation, &call->out[0], &tile);
    return tile;
}

int ingot_matmul_s8_n16k4_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                              ingot_gemm_s8_fn fn) {
    const s8_plan *plan = call->state;
    const int64_t tiles = plan->matrices * plan->tiles, wide = plan->slice_panels * INGOT_GEMM_NR;
    int64_t pointed = -1;
    s8_rows rows;
    ingot_gemm_s8 tile = tile_begin(call, plan, &rows);
    tile.sums = call->in[SUMS].data;
    tile.scale = call->in[SCALE].data;
    ingot_gemm_s8_set_bias(&call->in[INGOT_MATMUL_BIAS], &tile);
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t index = plan->tile_major ? unit / plan->slices : unit % tiles;
        const int64_t slice = plan->tile_major ? unit % plan->slices : unit / tiles;
        if (index != pointed) {
            const int64_t matrix = index / plan->tiles;
            point(call, plan, index % plan->tiles, matrix, matrix, 0, scratch, &rows, &tile);
            pointed = index;
        }
        tile.column = slice * wide;
        tile.columns = ingot_min64(plan->shape.n - tile.column, wide);
        tile.weights = (const int8_t *)call->in[INGOT_MATMUL_B].data + slice * plan->slice_panels * tile.panel_stride;
        fn(&tile);
    }
    return INGOT_KERNEL_OK;
}

/* Brings `count` columns into panels, of which b has one after the other... */
static void pack_transposed(const s8_plan *plan, const int8_t *b, int64_t pitch, int64_t count, int8_t *panels,
                            int32_t *sums) {
    const int64_t k = plan->shape.k, whole = k - k % INGOT_S8_STEP;
    for (int64_t j = 0; j < count; j++, b += pitch) {
        int8_t *to = panels + j / INGOT_GEMM_NR * plan->depth * INGOT_GEMM_NR + j % INGOT_GEMM_NR * INGOT_S8_STEP;
        int64_t sum = 0;
        for (int64_t i = 0; i < whole; i += INGOT_S8_STEP) {
            memcpy(to + i * INGOT_GEMM_NR, b + i, INGOT_S8_STEP);
        }
        for (int64_t i = whole; i < k; i++) {
            to[whole * INGOT_GEMM_NR + i - whole] = b[i];
        }
        for (int64_t i = 0; i < k; i++) {
            sum += b[i];
        }
        sums[j] = (int32_t)(uint32_t)(uint64_t)sum;
    }
}

/* ... or side by side. */
static void pack_straight(const s8_plan *plan, const int8_t *b, int64_t pitch, int64_t count, int8_t *panels,
                          int32_t *sums) {
    uint32_t sum[FREE_COLUMNS] = {0};
    for (int64_t i = 0; i < plan->shape.k; i++, b += pitch) {
        int8_t *row = panels + i / INGOT_S8_STEP * INGOT_S8_BLOCK + i % INGOT_S8_STEP;
        for (int64_t first = 0; first < count; first += INGOT_GEMM_NR, row += plan->depth * INGOT_GEMM_NR) {
            const int64_t last = ingot_min64(first + INGOT_GEMM_NR, count);
            for (int64_t j = first; j < last; j++) {
                row[(j - first) * INGOT_S8_STEP] = b[j];
            }
        }
        for (int64_t j = 0; j < count; j++) {
            const int32_t element = b[j];
            sum[j] += (uint32_t)element;
        }
    }
    memcpy(sums, sum, sizeof sum);
}

/* (a - a_zero) (b - b_zero): what b_zero adds to the sums of a row. */
static void offset_rows(const s8_plan *plan, int32_t a_zero, int32_t b_zero, s8_rows *rows, int32_t count) {
    for (int32_t r = 0; r < count; r++) {
        const int8_t *x = rows->in[r];
        uint32_t sum = 0;
        for (int64_t i = 0; i < plan->shape.k; i++) {
            sum += (uint32_t)(x[i] - a_zero);
        }
        rows->offset[r] = (int32_t)(0u - sum * (uint32_t)b_zero);
    }
}

int ingot_matmul_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, ingot_gemm_s8_fn fn) {
    const s8_plan *plan = call->state;
    const ingot_matmul_s8_params *p = call->params;
    const ingot_arg *b = &call->in[INGOT_MATMUL_B];
    const float *bias = call->in[INGOT_MATMUL_BIAS].data;
    const int64_t b_rows = p->matmul.trans_b ? plan->shape.n : plan->shape.k;
    free_columns *columns = (free_columns *)(void *)((char *)scratch + rows_size(plan));
    int8_t *panels = (int8_t *)(columns + 1);
    s8_rows rows;
    ingot_gemm_s8 tile = tile_begin(call, plan, &rows);
    tile.sums = columns->sums;
    tile.scale = columns->scale;
    tile.weights = panels;
    tile.row_offset = p->b_zero != 0 ? rows.offset : NULL;
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t matrix = unit / plan->slices, first = unit % plan->slices * FREE_COLUMNS;
        int64_t left, right;
        ingot_matmul_batch(&plan->shape, matrix, &left, &right);
        tile.columns = ingot_min64(plan->shape.n - first, FREE_COLUMNS);
        for (int64_t j = 0; j < tile.columns; j++) {
            columns->scale[j] = *(const float *)call->in[SCALE].data;
        }
        const int8_t *matrix_b = (const int8_t *)b->data + right * b_rows * b->pitch;
        memset(panels, 0, (size_t)(plan->depth * FREE_COLUMNS));
        if (p->matmul.trans_b) {
            pack_transposed(plan, matrix_b + first * b->pitch, b->pitch, tile.columns, panels, columns->sums);
        } else {
            pack_straight(plan, matrix_b + first, b->pitch, tile.columns, panels, columns->sums);
        }
        tile.bias = bias != NULL ? bias + first : NULL;
        for (int64_t index = 0; index < plan->tiles; index++) {
            point(call, plan, index, left, matrix, first, scratch, &rows, &tile);
            if (p->b_zero != 0) {
                offset_rows(plan, p->numbers.input_zero, p->b_zero, &rows, tile.mr);
            }
            fn(&tile);
        }
    }
    return INGOT_KERNEL_OK;
}

INGOT_MATMUL_S8_KERNELS

const ingot_family ingot_family_matmul_s8_n16k4 = {
    .params_size = sizeof(ingot_matmul_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 6,
    .in_max = 6,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_MATMUL_RESIDUAL,
    .check = packed_check,
    .units = packed_units,
    .state_size = state_size,
    .prepare = packed_prepare,
    .scratch_size = packed_scratch_size,
};

const ingot_family ingot_family_matmul_s8 = {
    .params_size = sizeof(ingot_matmul_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 6,
    .in_max = 6,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_MATMUL_RESIDUAL,
    .check = free_check,
    .units = free_units,
    .state_size = state_size,
    .prepare = free_prepare,
    .scratch_size = free_scratch_size,
};
