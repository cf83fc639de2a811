#include "attention/attention_half.h"

INGOT_KERNEL_FN(attention_half) {
    return ingot_attention_half_run(call, begin, end, scratch, &ingot_half__avx2, NULL, ingot_attention_row__avx2);
}
