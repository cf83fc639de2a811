/* attention_half, see attention_half.h. A work unit is that of attention_f32. */
#include "attention/attention_half.h"
#include "integers.h"

enum { LANES = INGOT_GEMM_NR };

/* Element 0 of what each thread needs, in floats; operands of products in bfloat16 take half of their room. */
typedef struct half_room {
    int64_t scores, weights; /* [INGOT_GEMM_MR][padded]: scores, and exponentials as they are multiplied */
    int64_t q, out;          /* [INGOT_GEMM_MR][depth], [INGOT_GEMM_MR][wide] */
    int64_t lines;           /* two rows of any operand, as they are multiplied */
    int64_t k, v;            /* panels of k^T and of v */
    int64_t depth, wide;     /* width of q, even; width of v in whole panels */
    int64_t all;
} half_room;

static half_room room_of(const attention_shape *s) {
    half_room room = {.depth = ingot_round_up(s->q.width, INGOT_HALF_STEP), .wide = ingot_round_up(s->v.width, LANES)};
    const int64_t depth = ingot_round_up(room.depth, LANES), line = depth > room.wide ? depth : room.wide;
    room.weights = room.scores + INGOT_GEMM_MR * s->padded;
    room.q = room.weights + INGOT_GEMM_MR * s->padded;
    room.out = room.q + INGOT_GEMM_MR * depth;
    room.lines = room.out + INGOT_GEMM_MR * room.wide;
    room.k = room.lines + INGOT_HALF_STEP * (line > s->padded ? line : s->padded);
    room.v = room.k + s->padded * room.depth;
    room.all = room.v + room.wide * s->padded;
    return room;
}

static int is_real(uint8_t dtype) { return dtype == INGOT_F32 || ingot_is_half(dtype); }

static const char *half_check(const ingot_call *call) {
    const char *reason = attention_check(call, is_real);
    uint8_t half = call->out[0].dtype;
    for (int i = 0; i < 3 && reason == NULL; i++) {
        if (half != INGOT_F32 && call->in[i].dtype != INGOT_F32 && call->in[i].dtype != half) {
            reason = "attention: operands of two half types";
        }
        half = half == INGOT_F32 ? call->in[i].dtype : half;
    }
    return reason;
}

static uint64_t half_scratch_size(const ingot_call *call) {
    const attention_shape s = attention_shape_of(call);
    return s.batch == 0 ? 0 : (uint64_t)room_of(&s).all * sizeof(float);
}

/* A call under way, by one thread. */
typedef struct attention_half {
    const ingot_call *call;
    const ingot_half_isa *isa;
    const ingot_bf16_dot *dot; /* NULL: operands are widened */
    attention_row_fn row;
    attention_shape shape;
    half_room room;
    float *scratch;
} attention_half;

/* `n` numbers of an operand from element `at` on, as they are multiplied: where they lie, or in `line`. Of bfloat16
 * there is an even number of them. */
static const void *operand(const attention_half *a, const ingot_arg *arg, int64_t at, int64_t n, float *line) {
    const void *from = (const char *)arg->data + at * ingot_half_size(arg->dtype);
    uint16_t *rounded = (uint16_t *)(void *)line;
    if (a->dot == NULL) {
        if (arg->dtype == INGOT_F32) {
            return from;
        }
        a->isa->widen(arg->dtype, from, 0, line, 0, 1, n);
        return line;
    }
    if (arg->dtype == INGOT_BF16) {
        if (n % INGOT_HALF_STEP == 0) {
            return from;
        }
        memcpy(rounded, from, (size_t)n * sizeof *rounded);
    } else {
        a->isa->narrow(INGOT_BF16, from, 0, rounded, 0, 1, n);
    }
    rounded[n] = 0; /* the last of an even number, or nothing */
    return line;
}

/* k [rows][width] -> panels of k^T: [rows / 16][width][16], or of bfloat16 [rows / 16][width / 2][16][2]. */
static void pack_keys(const attention_half *a, int64_t from) {
    const attention_operand *k = &a->shape.k;
    const int64_t depth = a->room.depth, steps = depth / INGOT_HALF_STEP;
    float *line = a->scratch + a->room.lines, *panels = a->scratch + a->room.k;
    for (int64_t row = 0; row < a->shape.padded; row++) {
        const int64_t panel = row / LANES * LANES * depth, lane = row % LANES;
        const void *source = line;
        if (row < k->rows) {
            source = operand(a, &a->call->in[1], from + row * k->row_step, k->width, line);
        } else {
            memset(line, 0, (size_t)depth * sizeof *line);
        }
        if (a->dot == NULL) {
            const float *numbers = source;
            for (int64_t d = 0; d < k->width; d++) panels[panel + d * LANES + lane] = numbers[d];
            continue;
        }
        uint16_t *to = (uint16_t *)(void *)panels + panel + lane * INGOT_HALF_STEP;
        const uint16_t *pairs = source;
        for (int64_t step = 0; step < steps; step++) {
            memcpy(to + step * INGOT_HALF_BLOCK, pairs + step * INGOT_HALF_STEP, INGOT_HALF_STEP * sizeof *to);
        }
    }
}

/* v [rows][width] -> panels [width / 16][rows][16], or of bfloat16 [width / 16][rows / 2][16][2]. */
static void pack_values(const attention_half *a, int64_t from) {
    const attention_operand *v = &a->shape.v;
    const int64_t rows = a->shape.padded, wide = a->room.wide;
    float *line = a->scratch + a->room.lines, *panels = a->scratch + a->room.v;
    for (int64_t row = 0; row < v->rows; row += a->dot != NULL ? INGOT_HALF_STEP : 1) {
        const void *first = operand(a, &a->call->in[2], from + row * v->row_step, v->width, line);
        if (a->dot == NULL) {
            for (int64_t c = 0; c < wide; c += LANES) {
                const int64_t some = v->width - c < LANES ? v->width - c : LANES;
                float *to = panels + c * rows + row * LANES;
                memcpy(to, (const float *)first + c, (size_t)some * sizeof *to);
                memset(to + some, 0, (size_t)(LANES - some) * sizeof *to);
            }
            continue;
        }
        float *next = line + (a->room.k - a->room.lines) / INGOT_HALF_STEP;
        const int both = row + 1 < v->rows;
        const uint16_t *one = first, *two = one;
        if (both) {
            two = operand(a, &a->call->in[2], from + (row + 1) * v->row_step, v->width, next);
        }
        uint16_t *to = (uint16_t *)(void *)panels + row * LANES;
        for (int64_t c = 0; c < v->width; c++) {
            const uint32_t pair = one[c] | (both ? (uint32_t)two[c] << 16 : 0);
            memcpy(to + c / LANES * LANES * rows + c % LANES * INGOT_HALF_STEP, &pair, sizeof pair);
        }
        for (int64_t c = v->width; c < wide; c++) {
            memset(to + c / LANES * LANES * rows + c % LANES * INGOT_HALF_STEP, 0, INGOT_HALF_STEP * sizeof *to);
        }
    }
}

/* Products of `count` rows with panels of `depth` numbers a column, [count][pitch]. */
static void multiply(const attention_half *a, const void *const *rows, int64_t count, int64_t depth, int64_t stride,
                     const float *panels, float *to, int64_t pitch) {
    if (a->dot != NULL) {
        const ingot_half_sums tile = {
            .rows = rows,
            .taps = 1,
            .steps = ingot_half_steps(depth),
            .weights = (const uint16_t *)(const void *)panels,
            .panel_stride = stride,
            .panels = pitch / LANES,
            .sums = to,
            .pitch = pitch,
            .mr = (int32_t)count,
            .dtype = INGOT_BF16,
        };
        a->dot->tile(&tile);
        return;
    }
    const ingot_activation none = {.kind = INGOT_ACT_NONE};
    float *out[INGOT_GEMM_MR];
    for (int64_t i = 0; i < count; i++) out[i] = to + i * pitch;
    ingot_gemm_f32 tile = {.rows = rows, .taps = 1, .length = depth, .weights = panels, .panel_stride = stride};
    tile.out = out;
    tile.columns = pitch;
    tile.mr = (int32_t)count;
    ingot_gemm_f32_activation(&tile, &none);
    a->isa->f32->tile(&tile);
}

static void attend(const attention_half *a, int64_t batch, int64_t head, int64_t first, int64_t count) {
    const ingot_call *call = a->call;
    const ingot_attention_params *p = call->params;
    const attention_shape *s = &a->shape;
    const half_room *room = &a->room;
    const ingot_arg *out = &call->out[0];
    const void *rows[INGOT_GEMM_MR];
    float *scores = a->scratch + room->scores, *results = a->scratch + room->out, *line = a->scratch + room->lines;
    uint16_t *rounded = (uint16_t *)(void *)(a->scratch + room->weights);
    float sum[INGOT_GEMM_MR];
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = batch * s->q.batch_step + head * s->q.head_step + (first + i) * s->q.row_step;
        rows[i] =
            operand(a, &call->in[0], at, s->q.width, a->scratch + room->q + i * ingot_round_up(room->depth, LANES));
    }
    multiply(a, rows, count, s->q.width, room->depth * LANES, a->scratch + room->k, scores, s->padded);
    for (int64_t i = 0; i < count; i++) {
        const int64_t seen = attention_visible(p, first + i, s->k.rows);
        const int64_t at = attention_mask_at(call, batch, head, first + i);
        const float *mask = at >= 0 ? (const float *)call->in[3].data + at : NULL;
        float *row = scores + i * s->padded;
        if (mask != NULL && call->in[3].dtype != INGOT_F32) {
            a->isa->widen(call->in[3].dtype, (const uint16_t *)call->in[3].data + at, 0, line, 0, 1, s->k.rows);
            mask = line;
        }
        sum[i] = a->row(p, row, p->scale, mask, seen);
        memset(row + seen, 0, (size_t)(s->padded - seen) * sizeof *row);
        rows[i] = a->dot != NULL ? (const void *)(rounded + i * s->padded) : row;
    }
    if (a->dot != NULL) {
        a->isa->narrow(INGOT_BF16, scores, s->padded, rounded, s->padded, count, s->padded);
    }
    multiply(a, rows, count, s->k.rows, s->padded * LANES, a->scratch + room->v, results, room->wide);
    for (int64_t i = 0; i < count; i++, results += room->wide) {
        const float scale = sum[i] != 0.0f ? 1.0f / sum[i] : 0.0f; /* a row that sees nothing gives zeros */
        const int64_t at = batch * s->out.batch_step + head * s->out.head_step + (first + i) * s->out.row_step;
        for (int64_t d = 0; d < s->v.width; d++) results[d] *= scale;
        if (out->dtype == INGOT_F32) {
            memcpy((float *)out->data + at, results, (size_t)s->v.width * sizeof *results);
        } else {
            a->isa->narrow(out->dtype, results, 0, (uint16_t *)out->data + at, 0, 1, s->v.width);
        }
    }
}

int ingot_attention_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                             const ingot_half_isa *isa, const ingot_bf16_dot *dot, attention_row_fn row) {
    attention_half a = {.call = call, .isa = isa, .dot = dot, .row = row, .scratch = scratch};
    a.shape = attention_shape_of(call);
    const attention_shape *s = &a.shape;
    if (s->batch == 0) {
        return INGOT_KERNEL_OK;
    }
    a.room = room_of(s);
    for (int i = 0; i < 3; i++) {
        a.dot = call->in[i].dtype == INGOT_F16 ? NULL : a.dot;
    }
    a.dot = call->out[0].dtype == INGOT_F16 ? NULL : a.dot;
    int64_t packed = -1; /* the head of k and v whose panels lie in the scratch */
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t head = unit / s->blocks % s->q.heads, batch = unit / s->blocks / s->q.heads;
        const int64_t shared = head / (s->q.heads / s->k.heads);
        if (packed != batch * s->k.heads + shared) {
            packed = batch * s->k.heads + shared;
            pack_keys(&a, batch * s->k.batch_step + shared * s->k.head_step);
            pack_values(&a, batch * s->v.batch_step + shared * s->v.head_step);
        }
        int64_t at = unit % s->blocks * ATTENTION_ROWS;
        const int64_t last = s->q.rows - at < ATTENTION_ROWS ? s->q.rows : at + ATTENTION_ROWS;
        for (; at < last; at += INGOT_GEMM_MR) {
            attend(&a, batch, head, at, last - at < INGOT_GEMM_MR ? last - at : INGOT_GEMM_MR);
        }
    }
    return INGOT_KERNEL_OK;
}

INGOT_KERNEL_FN(attention_half) {
    return ingot_attention_half_run(call, begin, end, scratch, &ingot_half__portable, NULL,
                                    ingot_attention_row__portable);
}

const ingot_family ingot_family_attention_half = {
    .params_size = sizeof(ingot_attention_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 3,
    .in_max = 4,
    .out_min = 1,
    .out_max = 1,
    .check = half_check,
    .units = attention_units,
    .scratch_size = half_scratch_size,
};
