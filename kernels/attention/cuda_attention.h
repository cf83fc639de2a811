/* What the CUDA kernels of attention share: where the heads lie, what a row sees, what becomes of a score. */
#ifndef INGOT_CUDA_ATTENTION_H
#define INGOT_CUDA_ATTENTION_H

#include "attention/attention.h"
#include "cuda_epilogue.h"

namespace ingot {

enum { ATTENTION_Q, ATTENTION_K, ATTENTION_V, ATTENTION_MASK, ATTENTION_OUT };

/* An operand [B, H, L, D] or [B, L, H, D]. */
struct attention_heads {
    int32_t rows, heads, width;
    int64_t head_step, row_step, batch_step;

    DEVICE attention_heads(const ingot_cuda_arg &a, bool rows_first) {
        rows = a.dims[rows_first ? 1 : 2];
        heads = a.dims[rows_first ? 2 : 1];
        width = a.dims[3];
        batch_step = (int64_t)rows * heads * width;
        head_step = rows_first ? width : (int64_t)rows * width;
        row_step = rows_first ? (int64_t)heads * width : width;
    }
    DEVICE int64_t at(int32_t batch, int32_t head) const { return batch * batch_step + head * head_step; }
    /* Whether rows can be read `many` elements at a time. */
    DEVICE bool in(int many, const ingot_cuda_arg &a, int size) const {
        return ((uintptr_t)a.data & (uintptr_t)(many * size - 1)) == 0 && width % many == 0;
    }
};

struct attention_shape {
    attention_heads q, k, v, out;
    int32_t batch;

    template <class Call>
    DEVICE explicit attention_shape(const Call &c)
        : q(c.arg[ATTENTION_Q], c.params.rows_first & INGOT_ATTENTION_Q_ROWS_FIRST),
          k(c.arg[ATTENTION_K], c.params.rows_first & INGOT_ATTENTION_K_ROWS_FIRST),
          v(c.arg[ATTENTION_V], c.params.rows_first & INGOT_ATTENTION_V_ROWS_FIRST),
          out(c.arg[ATTENTION_OUT], c.params.rows_first & INGOT_ATTENTION_OUT_ROWS_FIRST),
          batch(c.arg[ATTENTION_Q].dims[0]) {}
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
        first = at * mask.dims[2] * mask.dims[3];
        step = mask.dims[2] == 1 ? 0 : mask.dims[3];
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
