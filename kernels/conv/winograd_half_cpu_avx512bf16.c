#include "vec16.h"

INGOT_INLINE void winograd_narrow(uint16_t *to, v16 x) {
    _mm256_storeu_si256((__m256i *)(void *)to, (__m256i)_mm512_cvtneps_pbh(x));
}

#include "winograd_bf16_impl.h"

INGOT_KERNEL_FN(conv_bf16_winograd) {
    return ingot_conv_winograd_half_run(call, begin, end, scratch, &ingot_winograd__avx512, &ingot_half__avx512,
                                        &winograd_bf16);
}
