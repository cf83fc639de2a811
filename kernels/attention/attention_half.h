/* attention_half: attention whose q, k, v and result are each stored in one type of half or in float32.
 *
 * Scores and exponentials are float32. Where the processor multiplies bfloat16, q, k, v and the exponentials, which are
 * at most 1, are multiplied as such; everywhere else all is widened. */
#ifndef INGOT_ATTENTION_HALF_H
#define INGOT_ATTENTION_HALF_H

#include "attention/attention_shape.h"
#include "gemm_half.h"

int ingot_attention_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                             const ingot_half_isa *isa, const ingot_bf16_dot *dot, attention_row_fn row);

#endif
