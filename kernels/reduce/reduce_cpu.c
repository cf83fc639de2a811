/* reduce: sums, means, extremes, products and norms over any set of axes. */
#include <math.h>
#include <stdbool.h>

#include "cuda_parts.h"
#include "reduce/reduce_f32_impl.h"

#define T double
#define U double
#define NAME(x) x##_f64
#define LOWEST (-__builtin_inf())
#define HIGHEST __builtin_inf()
#define IS_FLOAT 1
#define ONLY_ORDER 0
#define LANES 4
#define FEW_LANES 1
#define EXP exp
#define LOG log
#define SQRT sqrt
#include "reduce/reduce_body.h"

#define T int32_t
#define U uint32_t
#define NAME(x) x##_i32
#define LOWEST INT32_MIN
#define HIGHEST INT32_MAX
#define IS_FLOAT 0
#define ONLY_ORDER 0
#define LANES 4
#define FEW_LANES 1
#include "reduce/reduce_body.h"

#define T int64_t
#define U uint64_t
#define NAME(x) x##_i64
#define LOWEST INT64_MIN
#define HIGHEST INT64_MAX
#define IS_FLOAT 0
#define ONLY_ORDER 0
#define LANES 4
#define FEW_LANES 1
#include "reduce/reduce_body.h"

#define T int8_t
#define U uint8_t
#define NAME(x) x##_i8
#define LOWEST INT8_MIN
#define HIGHEST INT8_MAX
#define IS_FLOAT 0
#define ONLY_ORDER 1
#define LANES 4
#define FEW_LANES 1
#include "reduce/reduce_body.h"

#define T uint8_t
#define U uint8_t
#define NAME(x) x##_u8
#define LOWEST 0
#define HIGHEST UINT8_MAX
#define IS_FLOAT 0
#define ONLY_ORDER 1
#define LANES 4
#define FEW_LANES 1
#include "reduce/reduce_body.h"

const char *ingot_reduce_check(const ingot_call *call, uint8_t result) {
    const ingot_reduce_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (p->kind >= INGOT_REDUCE_KIND_COUNT || p->axes >> in->rank != 0) {
        return "reduce: a kind or an axis out of range";
    }
    if (out->dtype != result || in->rank != out->rank) {
        return "reduce: input and output differ in type or rank";
    }
    for (int axis = 0; axis < in->rank; axis++) {
        bool reduced = p->axes >> axis & 1;
        if (out->dims[axis] != (reduced ? 1 : in->dims[axis])) {
            return "reduce: the output does not have the extents of the kept axes";
        }
    }
    if (call->grid && call->grid->grid[1] > 1 && p->kind == INGOT_REDUCE_LOG_SUM_EXP) {
        return "reduce: parts of results that are folded in two passes";
    }
    return ingot_parts_check(call, (uint64_t)out->count, 8);
}

static const char *check_f32(const ingot_call *call) {
    return call->in[0].dtype == INGOT_F32 ? ingot_reduce_check(call, INGOT_F32)
                                          : "reduce_f32: the input is not float32";
}

static const char *check_other(const ingot_call *call) {
    const ingot_reduce_params *p = call->params;
    switch (call->in[0].dtype) {
    case INGOT_F64:
    case INGOT_I32:
    case INGOT_I64: break;
    case INGOT_I8:
    case INGOT_U8:
    case INGOT_BOOL:
        if (p->kind != INGOT_REDUCE_MAX && p->kind != INGOT_REDUCE_MIN) {
            return "reduce: bytes have a maximum and a minimum only";
        }
        break;
    default: return "reduce: no such element type";
    }
    if (call->in[0].dtype != INGOT_F64 && (p->kind == INGOT_REDUCE_LOG_SUM || p->kind == INGOT_REDUCE_LOG_SUM_EXP)) {
        return "reduce: logarithms are of floats only";
    }
    return ingot_reduce_check(call, call->in[0].dtype);
}

/* Merges adjacent axes of one sort. An empty input leaves loops of extent 0 that nothing walks. */
static int64_t merge_axes(const ingot_call *call, reduce_loop *loops, bool *reduced) {
    const ingot_reduce_params *p = call->params;
    const ingot_arg *in = &call->in[0];
    int64_t count = 0, stride = 1;
    for (int axis = in->rank - 1; axis >= 0; axis--) { /* innermost first */
        bool is_reduced = p->axes >> axis & 1;
        if (in->dims[axis] == 1) {
            continue;
        }
        if (count > 0 && reduced[count - 1] == is_reduced) {
            loops[count - 1].extent *= in->dims[axis];
        } else {
            loops[count] = (reduce_loop){in->dims[axis], stride};
            reduced[count++] = is_reduced;
        }
        stride *= in->dims[axis];
    }
    return count;
}

static reduce_plan make_plan(const ingot_call *call) {
    reduce_plan plan = {
        .rows = 1, .columns = 1, .row_step = 1, .outer = 1, .blocks = 1, .reduced_extent = 1, .grain = 1};
    plan.units_across = 1;
    if (call->out[0].count == 0) {
        plan.outer = 0;
        return plan;
    }
    if (call->in[0].count == 0) { /* every output is the fold of nothing */
        plan.columns = call->out[0].count;
        plan.rows = plan.blocks = plan.reduced_extent = 0;
        plan.units_across = (plan.columns - 1) / REDUCE_COLUMNS + 1;
        return plan;
    }
    reduce_loop loops[INGOT_MAX_RANK];
    bool reduced[INGOT_MAX_RANK];
    int64_t count = merge_axes(call, loops, reduced), inner = 0;
    if (count > 0 && !reduced[0]) {
        plan.columns = loops[inner++].extent;
    }
    plan.in_runs = inner == 0;
    if (inner < count) { /* whatever follows kept columns is reduced */
        plan.rows = loops[inner].extent;
        plan.row_step = loops[inner].stride;
        inner++;
    }
    plan.reduced_extent = plan.rows;
    for (int64_t i = count - 1; i >= inner; i--) {
        if (reduced[i]) {
            plan.reduced[plan.reduced_count++] = loops[i];
            plan.blocks *= loops[i].extent;
        } else {
            plan.kept[plan.kept_count++] = loops[i];
            plan.outer *= loops[i].extent;
        }
    }
    plan.reduced_extent *= plan.blocks;
    plan.units_across = (plan.columns - 1) / REDUCE_COLUMNS + 1;
    int64_t work = plan.reduced_extent * (plan.columns < REDUCE_COLUMNS ? plan.columns : REDUCE_COLUMNS);
    plan.grain = work < 8192 ? 8192 / work : 1;
    while (((plan.outer - 1) / plan.grain + 1) > 4096) {
        plan.grain *= 2;
    }
    return plan;
}

uint32_t ingot_reduce_units(const ingot_call *call) {
    reduce_plan plan = make_plan(call);
    if (plan.outer == 0) {
        return 0;
    }
    int64_t count = ((plan.outer - 1) / plan.grain + 1) * plan.units_across;
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

uint64_t ingot_reduce_state_size(const ingot_call *call) {
    (void)call;
    return sizeof(reduce_plan);
}

void ingot_reduce_prepare(const ingot_call *call) { *(reduce_plan *)call->state = make_plan(call); }

#define FAMILY(check_, flags_)                                                                                         \
    {                                                                                                                  \
        .params_size = sizeof(ingot_reduce_params), .flags = flags_, .in_min = 1, .in_max = 1, .out_min = 1,           \
        .out_max = 1, .check = check_, .units = ingot_reduce_units, .state_size = ingot_reduce_state_size,             \
        .prepare = ingot_reduce_prepare,                                                                               \
    }
const ingot_family ingot_family_reduce_f32 = FAMILY(check_f32, 0);
const ingot_family ingot_family_reduce = FAMILY(check_other, INGOT_KERNEL_EXACT);

INGOT_KERNEL_FN(reduce) {
    (void)scratch;
    const reduce_plan *plan = call->state;
    for (uint32_t unit = begin; unit < end; unit++) {
        switch (call->in[0].dtype) {
        case INGOT_F64: reduce_unit_f64(call, plan, unit); break;
        case INGOT_I32: reduce_unit_i32(call, plan, unit); break;
        case INGOT_I64: reduce_unit_i64(call, plan, unit); break;
        case INGOT_I8: reduce_unit_i8(call, plan, unit); break;
        default: reduce_unit_u8(call, plan, unit); break;
        }
    }
    return INGOT_KERNEL_OK;
}
