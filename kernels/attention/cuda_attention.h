/* What the CUDA kernels of attention share: where the heads lie, what a row sees, what becomes of a score. */
#ifndef INGOT_CUDA_ATTENTION_H
#define INGOT_CUDA_ATTENTION_H

#include "attention/attention.h"
#include "cuda_epilogue.h"

namespace ingot {

enum { ATTENTION_Q, ATTENTION_K, ATTENTION_V, ATTENTION_MASK, ATTENTION_OUT };

/* An operand [B, H, L, D] or [B, L, H, D], whose rows are `pitch` apart. */
struct attention_heads {
    int32_t rows, heads, width;
    int64_t head_step, row_step, batch_step;

    DEVICE attention_heads(const ingot_cuda_arg &a, bool rows_first) {
        rows = a.dims[rows_first ? 1 : 2];
        heads = a.dims[rows_first ? 2 : 1];
        width = a.dims[3];
        batch_step = (int64_t)rows * heads * a.pitch;
        head_step = rows_first ? a.pitch : rows * a.pitch;
        row_step = rows_first ? heads * a.pitch : a.pitch;
    }
    /* The same, or [B, L, H * D], of which one knows the heads or the width: the other one is -1. */
    DEVICE attention_heads(const ingot_cuda_arg &a, bool rows_first, int32_t some, int32_t wide)
        : attention_heads(a, rows_first) {
        if (a.rank != 3) return;
        rows = a.dims[1];
        heads = some < 0 ? a.dims[2] / wide : some;
        width = some < 0 ? wide : a.dims[2] / some;
        head_step = width;
        row_step = a.pitch;
        batch_step = rows * a.pitch;
    }
    DEVICE int64_t at(int32_t batch, int32_t head) const { return batch * batch_step + head * head_step; }
    /* Whether rows can be read `many` elements at a time. */
    DEVICE bool in(int many, const ingot_cuda_arg &a, int size) const {
        const uintptr_t places = (uintptr_t)a.data | (uintptr_t)((width | head_step | row_step | batch_step) * size);
        return (places & (uintptr_t)(many * size - 1)) == 0;
    }
};

struct attention_shape {
    attention_heads out, q, k, v;
    int32_t batch;

    template <class Call>
    DEVICE explicit attention_shape(const Call &c)
        : out(c.arg[ATTENTION_OUT], c.params.rows_first & INGOT_ATTENTION_OUT_ROWS_FIRST),
          q(c.arg[ATTENTION_Q], c.params.rows_first & INGOT_ATTENTION_Q_ROWS_FIRST, out.heads, -1),
          k(c.arg[ATTENTION_K], c.params.rows_first & INGOT_ATTENTION_K_ROWS_FIRST, -1, q.width),
          v(c.arg[ATTENTION_V], c.params.rows_first & INGOT_ATTENTION_V_ROWS_FIRST, k.heads, -1),
          batch(c.arg[ATTENTION_OUT].dims[0]) {}
};

/* Columns that a row sees. */
DEVICE int32_t attention_visible(const ingot_attention_params &p, int32_t row, int32_t keys) {
    if (!p.causal) return keys;
    const int64_t seen = row + p.diagonal + 1;
    return seen < 0 ? 0 : seen < keys ? (int32_t)seen : keys;
}

/* Where the mask's rows for a head begin, and what is from one to the next. */
struct attention_mask {
    int64_t first, step;

    DEVICE attention_mask(const ingot_cuda_arg &mask, int32_t batch, int32_t head) {
        int64_t at = mask.dims[0] == 1 ? 0 : batch;
        at = at * mask.dims[1] + (mask.dims[1] == 1 ? 0 : head);
        first = at * mask.dims[2] * mask.pitch;
        step = mask.dims[2] == 1 ? 0 : mask.pitch;
    }
    DEVICE int64_t at(int32_t row, int32_t key) const { return first + row * step + key; }
};

/* A score, scaled already, with cap and mask. */
DEVICE float attention_adjust(const ingot_attention_params &p, float score, const ingot_cuda_arg &mask, int64_t at) {
    if (p.softcap > 0.0f) score = p.softcap * ingot_tanh_f32(div_f32(score, p.softcap));
    return mask.data != nullptr ? score + load_real(mask, at) : score;
}

/* What a row is multiplied by at its end. A row that sees nothing gives zeros; one whose mask hides all, what the
 * quotient of zeros gives. */
DEVICE float attention_inverse(float sum, bool sees) {
    return sum != 0.0f ? div_f32(1.0f, sum) : sees ? __builtin_nanf("") : 0.0f;
}

} // namespace ingot

#endif
