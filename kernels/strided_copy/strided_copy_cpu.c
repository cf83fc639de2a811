/* strided_copy: any view of the input through starts, steps and an order of axes becomes a tensor of its own.
 * Transpose, slice (any step), expand and diagonals are this one kernel. */
#include "strided_copy/strided_copy.h"

#include "integers.h"
#include "strided_copy/movement.h"
#include "strided_copy/strided_copy_impl.h"

static const char *check(const ingot_call *call) {
    const ingot_strided_copy_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (in->dtype != out->dtype || ingot_element_size(in->dtype) == 0) {
        return "strided_copy: input and output differ in type";
    }
    if (out->count == 0) {
        return NULL;
    }
    int64_t low[INGOT_MAX_RANK], high[INGOT_MAX_RANK]; /* the indices reached, both included */
    for (int axis = 0; axis < in->rank; axis++) {
        low[axis] = high[axis] = p->start[axis];
    }
    for (int axis = 0; axis < out->rank; axis++) {
        uint8_t from = p->axis[axis];
        if (from == INGOT_STRIDED_BROADCAST) {
            continue;
        }
        int64_t span;
        if (from >= in->rank || __builtin_mul_overflow(p->step[axis], out->dims[axis] - 1, &span)) {
            return "strided_copy: an axis or a step out of range";
        }
        int64_t *end = span < 0 ? &low[from] : &high[from];
        if (__builtin_add_overflow(*end, span, end)) {
            return "strided_copy: a step out of range";
        }
    }
    for (int axis = 0; axis < in->rank; axis++) {
        if (low[axis] < 0 || high[axis] >= in->dims[axis]) {
            return "strided_copy: the view reaches outside the input";
        }
    }
    return NULL;
}

/* The loops of the output in its own order, without those of one step, adjacent ones merged where both sides allow. */
static uint32_t collect_loops(const ingot_call *call, strided_loop *loops) {
    const ingot_strided_copy_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    int64_t in_stride[INGOT_MAX_RANK], out_stride[INGOT_MAX_RANK];
    ingot_strides(in, in_stride);
    ingot_strides(out, out_stride);
    uint32_t count = 0;
    for (int axis = 0; axis < out->rank; axis++) {
        if (out->dims[axis] == 1) {
            continue;
        }
        bool broadcast = p->axis[axis] == INGOT_STRIDED_BROADCAST;
        strided_loop loop = {out->dims[axis], broadcast ? 0 : p->step[axis] * in_stride[p->axis[axis]],
                             out_stride[axis]};
        strided_loop *last = &loops[count - (count > 0)];
        if (count > 0 && last->in == loop.in * loop.extent && last->out == loop.out * loop.extent) {
            loop.extent *= last->extent;
            *last = loop;
        } else {
            loops[count++] = loop;
        }
    }
    return count;
}

/* A run of 2, 4, 8 or 16 bytes at the bottom of everything is one wide element. */
static uint32_t widen(strided_plan *plan, strided_loop *loops, uint32_t count) {
    if (count == 0) {
        return 0;
    }
    const strided_loop *run = &loops[count - 1];
    int64_t n = run->extent;
    if (run->in != 1 || run->out != 1 || n > 16 || (n & (n - 1)) != 0 || n * plan->element > 16 ||
        plan->offset % n != 0) {
        return count;
    }
    for (uint32_t i = 0; i + 1 < count; i++) {
        if (loops[i].in % n != 0 || loops[i].out % n != 0) {
            return count;
        }
    }
    for (uint32_t i = 0; i + 1 < count; i++) {
        loops[i].in /= n;
        loops[i].out /= n;
    }
    plan->offset /= n;
    plan->element *= (uint32_t)n;
    return count - 1;
}

static void make_plan(const ingot_call *call, strided_plan *plan) {
    const ingot_strided_copy_params *p = call->params;
    const ingot_arg *in = &call->in[0];
    memset(plan, 0, sizeof *plan);
    plan->element = (uint32_t)ingot_element_size(in->dtype);
    if (call->out[0].count == 0) {
        return;
    }
    int64_t stride[INGOT_MAX_RANK];
    ingot_strides(in, stride);
    for (int axis = 0; axis < in->rank; axis++) {
        plan->offset += p->start[axis] * stride[axis];
    }
    strided_loop loops[INGOT_MAX_RANK];
    uint32_t count = widen(plan, loops, collect_loops(call, loops));
    plan->cols = (strided_loop){1, 1, 1};
    plan->rows = (strided_loop){1, 0, 0};
    if (count > 0 && loops[count - 1].out == 1) {
        plan->cols = loops[--count];
    }
    uint32_t row = count - 1; /* unless a better one is found: the loop around the columns */
    if (plan->cols.in != 0 && plan->cols.in != 1) {
        for (uint32_t i = 0; i < count; i++) {
            if (loops[i].in == 1) {
                plan->transpose = 1;
                row = i;
            }
        }
    }
    if (count > 0) {
        plan->rows = loops[row];
        memmove(&loops[row], &loops[row + 1], (count - 1 - row) * sizeof *loops);
        count--;
    }
    memcpy(plan->outer, loops, count * sizeof *loops);
    plan->outer_count = count;

    if (plan->transpose) {
        /* a tile that fits the first cache: square, or long where the other side is short */
        plan->row_chunk = ingot_min64(plan->rows.extent, 64);
        plan->col_chunk = ingot_min64(plan->cols.extent, 4096 / plan->row_chunk);
        plan->row_chunk = ingot_min64(plan->rows.extent, 4096 / plan->col_chunk);
    } else {
        plan->col_chunk = ingot_min64(plan->cols.extent, 65536 / plan->element);
        plan->row_chunk = ingot_min64(plan->rows.extent, INGOT_UNIT_BYTES / (plan->col_chunk * plan->element) + 1);
    }
    plan->row_chunks = (plan->rows.extent - 1) / plan->row_chunk + 1;
    plan->col_chunks = (plan->cols.extent - 1) / plan->col_chunk + 1;
    plan->items = plan->row_chunks * plan->col_chunks;
    for (uint32_t i = 0; i < count; i++) {
        plan->items *= plan->outer[i].extent;
    }
}

static uint32_t units(const ingot_call *call) {
    strided_plan plan;
    make_plan(call, &plan);
    return ingot_units_for(plan.items, plan.row_chunk * plan.col_chunk * plan.element);
}

static uint64_t state_size(const ingot_call *call) {
    (void)call;
    return sizeof(strided_plan);
}

static void prepare(const ingot_call *call) { make_plan(call, call->state); }

const ingot_family ingot_family_strided_copy = {
    .params_size = sizeof(ingot_strided_copy_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = units,
    .state_size = state_size,
    .prepare = prepare,
};
