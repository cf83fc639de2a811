/* softmax_f32, compiled once for each instruction set. */
#include "softmax/softmax_shape.h"
#include "vmath.h"

#if defined(__AVX512F__)
#include "softmax/softmax_row_avx512.h"
#define SOFTMAX_ROW
#endif
#define T float
#define NAME(x) x##_f32
#define EXP ingot_exp_nonpositive_f32
#define LOG ingot_log_f32
#define LOWEST (-INGOT_INF_F32)
#include "softmax/softmax_body.h"

INGOT_KERNEL_FN(softmax_f32) {
    (void)scratch;
    for (uint32_t unit = begin; unit < end; unit++) {
        softmax_unit_f32(call, unit);
    }
    return INGOT_KERNEL_OK;
}
