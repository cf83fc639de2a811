#include "attention/attention_half.h"

INGOT_KERNEL_FN(attention_half) {
    return ingot_attention_half_run(call, begin, end, scratch, &ingot_half__avx512, &ingot_bf16_dot__avx512bf16,
                                    ingot_attention_row__avx512);
}
