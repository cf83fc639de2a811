/* reduce_f32, compiled once for each instruction set. */
#include "reduce/reduce.h"
#include "reduce/reduce_plan.h"
#include "vmath.h"

#define T float
#define U float
#define NAME(x) x##_f32
#define LOWEST (-INGOT_INF_F32)
#define HIGHEST INGOT_INF_F32
#define IS_FLOAT 1
#define ONLY_ORDER 0
#define LANES 32
#define FEW_LANES 8
#define EXP ingot_exp_f32
#define LOG ingot_log_f32
#define SQRT ingot_sqrt_f32
#include "reduce/reduce_body.h"

INGOT_KERNEL_FN(reduce_f32) {
    (void)scratch;
    for (uint32_t unit = begin; unit < end; unit++) {
        reduce_unit_f32(call, call->state, unit);
    }
    return INGOT_KERNEL_OK;
}
