/* attention_f32, compiled once for each instruction set on top of its matrix micro-kernel.
 *
 * The scores of a few rows of queries are made for all keys, turned into exponentials, and multiplied by v; the result
 * is divided by their sum. Nothing of the size [Lq, Lk] is ever stored. */
#include <string.h>

#include "attention/attention_shape.h"
#include "strided_copy/transpose_blocks.h"
#include "vec16.h"
#include "vmath.h"

#if defined(__AVX512F__)
#include "softmax/softmax_row_avx512.h"
#else
#define T float
#define NAME(x) x##_f32
#define EXP ingot_exp_nonpositive_f32
#define LOWEST (-INGOT_INF_F32)
#include "softmax/softmax_row.h"
#undef T
#undef NAME
#undef EXP
#undef LOWEST
#endif

#define ATTENTION_ISA INGOT_PASTE(ingot_, gemm_f32, INGOT_ISA)

/* k [rows][width] -> panels of k^T: [rows / 16][width][16]. */
static void attention_pack_keys(float *to, const float *from, const attention_operand *k) {
    for (int64_t row = 0; row < k->rows; row += 16, to += k->width * 16) {
        int64_t some = k->rows - row < 16 ? k->rows - row : 16;
        int64_t done = 0;
#if defined(__AVX512F__) /* elsewhere products take much longer than this */
        if (some == 16) {
            for (; done + 4 <= k->width; done += 4) {
                for (int64_t j = 0; j < 16; j += 4) {
                    transpose_4x4(from + (row + j) * k->row_step + done, k->row_step, to + done * 16 + j, 16);
                }
            }
        }
#endif
        for (int64_t j = 0; j < 16; j++) {
            const float *source = from + (row + j) * k->row_step;
            for (int64_t d = done; d < k->width; d++) to[d * 16 + j] = j < some ? source[d] : 0.0f;
        }
    }
}

/* v [rows][width] -> panels [width / 16][rows][16]. */
static void attention_pack_values(float *to, const float *from, const attention_operand *v) {
    for (int64_t column = 0; column < v->width; column += 16) {
        int64_t some = v->width - column < 16 ? v->width - column : 16;
        for (int64_t row = 0; row < v->rows; row++, to += 16) {
            v16_store(to, v16_load_n(from + row * v->row_step + column, some));
        }
    }
}

/* What a row of `n` scores goes through before its exponentials. */
static void attention_adjust(const ingot_attention_params *p, float *scores, const float *mask, int64_t n) {
    if (p->softcap > 0.0f) {
        for (int64_t j = 0; j < n; j++) scores[j] = p->softcap * ingot_tanh_f32(scores[j] / p->softcap);
    }
    if (mask != NULL) {
        for (int64_t j = 0; j < n; j++) scores[j] += mask[j];
    }
}

__attribute__((noinline)) float INGOT_PASTE(ingot_, attention_row, INGOT_ISA)(const ingot_attention_params *p,
                                                                              float *scores, float scale,
                                                                              const float *mask, int64_t n) {
    if (scale != 1.0f) {
        for (int64_t j = 0; j < n; j++) scores[j] *= scale;
    }
    attention_adjust(p, scores, mask, n);
    return exp_row_f32(scores, scores, n, largest_f32(scores, n));
}

/* The product of `count` rows of `length` with a matrix: packed in panels, or as it lies. */
static void attention_product(const attention_shape *s, const float *rows, int64_t row_step, int64_t length,
                              float **out, int64_t count, int64_t columns, const float *panels,
                              const ingot_row_f32 *free, int transposed) {
    if (!s->packs) {
        for (int64_t i = 0; i < count; i++) {
            ingot_row_f32 task = *free;
            task.row = rows + i * row_step;
            task.out = out[i];
            (transposed ? ATTENTION_ISA.row_transposed : ATTENTION_ISA.row)(&task);
        }
        return;
    }
    const void *in[INGOT_GEMM_MR];
    for (int64_t i = 0; i < count; i++) in[i] = rows + i * row_step;
    ingot_gemm_f32 tile = {.rows = in, .taps = 1, .length = length, .weights = panels, .panel_stride = length * 16};
    tile.out = out;
    tile.columns = columns;
    tile.mr = (int32_t)count;
    tile.lo = -INGOT_INF_F32;
    tile.hi = INGOT_INF_F32;
    ATTENTION_ISA.tile(&tile);
}

static void attention_rows(const ingot_call *call, const attention_shape *s, const attention_scratch *b, int64_t batch,
                           int64_t head, int64_t first, int64_t count) {
    const ingot_attention_params *p = call->params;
    const int64_t shared = head / (s->q.heads / s->k.heads);
    const float *q = (const float *)call->in[0].data + batch * s->q.batch_step + head * s->q.head_step;
    const float *k = (const float *)call->in[1].data + batch * s->k.batch_step + shared * s->k.head_step;
    const float *v = (const float *)call->in[2].data + batch * s->v.batch_step + shared * s->v.head_step;
    float *to = (float *)call->out[0].data + batch * s->out.batch_step + head * s->out.head_step;
    float *out[INGOT_GEMM_MR], *scores[INGOT_GEMM_MR], sum[INGOT_GEMM_MR];
    for (int64_t i = 0; i < count; i++) {
        const float *row = q + (first + i) * s->q.row_step;
        for (int64_t d = 0; d < s->q.width; d++) b->q[i * s->q.width + d] = row[d] * p->scale;
        scores[i] = b->scores + i * s->padded;
        out[i] = to + (first + i) * s->out.row_step;
    }
    ingot_row_f32 keys = {.matrix = k, .pitch = s->k.row_step, .length = s->k.width, .columns = s->k.rows};
    attention_product(s, b->q, s->q.width, s->q.width, scores, count, s->k.rows, b->k, &keys, 1);
    for (int64_t i = 0; i < count; i++) {
        int64_t seen = attention_visible(p, first + i, s->k.rows);
        const int64_t mask = attention_mask_at(call, batch, head, first + i);
        const float *masks = mask >= 0 ? (const float *)call->in[3].data + mask : NULL;
        sum[i] = INGOT_PASTE(ingot_, attention_row, INGOT_ISA)(p, scores[i], 1.0f, masks, seen);
        memset(scores[i] + seen, 0, (size_t)(s->k.rows - seen) * sizeof(float));
    }
    ingot_row_f32 values = {.matrix = v, .pitch = s->v.row_step, .length = s->k.rows, .columns = s->v.width};
    attention_product(s, b->scores, s->padded, s->k.rows, out, count, s->v.width, b->v, &values, 0);
    for (int64_t i = 0; i < count; i++) {
        float scale = sum[i] != 0.0f ? 1.0f / sum[i] : 0.0f; /* a row that sees nothing gives zeros */
        for (int64_t d = 0; d < s->v.width; d++) out[i][d] *= scale;
    }
}

INGOT_KERNEL_FN(attention_f32) {
    const attention_shape s = attention_shape_of(call);
    if (s.batch == 0) {
        return INGOT_KERNEL_OK;
    }
    attention_scratch buffer = {NULL, NULL, NULL, NULL};
    attention_layout(&s, scratch, &buffer);
    int64_t packed = -1; /* the head of k and v whose panels lie in the scratch */
    for (uint32_t unit = begin; unit < end; unit++) {
        int64_t head = unit / s.blocks % s.q.heads, batch = unit / s.blocks / s.q.heads;
        int64_t shared = head / (s.q.heads / s.k.heads);
        if (s.packs && packed != batch * s.k.heads + shared) {
            packed = batch * s.k.heads + shared;
            const float *k = (const float *)call->in[1].data + batch * s.k.batch_step + shared * s.k.head_step;
            const float *v = (const float *)call->in[2].data + batch * s.v.batch_step + shared * s.v.head_step;
            attention_pack_keys(buffer.k, k, &s.k);
            attention_pack_values(buffer.v, v, &s.v);
        }
        int64_t row = unit % s.blocks * ATTENTION_ROWS;
        int64_t last = s.q.rows - row < ATTENTION_ROWS ? s.q.rows : row + ATTENTION_ROWS;
        for (; row < last; row += INGOT_GEMM_MR) {
            attention_rows(call, &s, &buffer, batch, head, row,
                           last - row < INGOT_GEMM_MR ? last - row : INGOT_GEMM_MR);
        }
    }
    return INGOT_KERNEL_OK;
}
