/* concat: the inputs one after another along an axis. Where the plan lets producers write into rows of the result,
 * this kernel has nothing left to do and is not called. */
#include "concat/concat.h"

#include "strided_copy/movement.h"

enum { CONCAT_INPUTS_MAX = 32 };

static const char *check(const ingot_call *call) {
    const ingot_concat_params *p = call->params;
    const ingot_arg *out = &call->out[0];
    if (p->axis >= out->rank || ingot_element_size(out->dtype) == 0) {
        return "concat: axis out of range";
    }
    int64_t total = 0;
    for (uint32_t i = 0; i < call->in_count; i++) {
        const ingot_arg *in = &call->in[i];
        if (in->dtype != out->dtype || in->rank != out->rank) {
            return "concat: an input differs from the output in type or rank";
        }
        for (uint32_t axis = 0; axis < out->rank; axis++) {
            if (axis != p->axis && in->dims[axis] != out->dims[axis]) {
                return "concat: an input differs from the output off the axis";
            }
        }
        if (in->dims[p->axis] > out->dims[p->axis] - total) {
            return "concat: the inputs are longer than the output";
        }
        total += in->dims[p->axis];
    }
    return total == out->dims[p->axis] ? NULL : "concat: the inputs are shorter than the output";
}

/* Rows of the output, and where in the chain of inputs they come from. Along the last axis a row has a piece of every
 * input; along another one it is a row of one input. */
static int64_t row_count(const ingot_arg *out) { return out->count / ingot_last_extent(out); }

static uint32_t units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    return out->count == 0 ? 1
                           : ingot_units_for(row_count(out), ingot_last_extent(out) * ingot_element_size(out->dtype));
}

static void pieces_of_rows(const ingot_call *call, int64_t begin, int64_t end) {
    const ingot_arg *out = &call->out[0];
    int64_t size = ingot_element_size(out->dtype), at = 0;
    for (uint32_t i = 0; i < call->in_count; i++) {
        const ingot_arg *in = &call->in[i];
        int64_t width = ingot_last_extent(in);
        if (width > 0) {
            ingot_copy_rows((char *)out->data + (begin * out->pitch + at) * size, out->pitch * size,
                            (const char *)in->data + begin * in->pitch * size, in->pitch * size, end - begin,
                            width * size);
        }
        at += width;
    }
}

static void whole_rows(const ingot_call *call, uint32_t axis, int64_t begin, int64_t end) {
    const ingot_arg *out = &call->out[0];
    int64_t size = ingot_element_size(out->dtype), width = ingot_last_extent(out) * size;
    int64_t inner = ingot_extent(out, (int)axis + 1, out->rank - 1), period = inner * out->dims[axis];
    for (int64_t row = begin; row < end;) {
        int64_t outer = row / period, at = row % period;
        for (uint32_t i = 0; i < call->in_count && row < end; i++) {
            const ingot_arg *in = &call->in[i];
            int64_t rows = in->dims[axis] * inner;
            if (at >= rows) {
                at -= rows;
                continue;
            }
            int64_t n = rows - at < end - row ? rows - at : end - row;
            ingot_copy_rows((char *)out->data + row * out->pitch * size, out->pitch * size,
                            (const char *)in->data + (outer * rows + at) * in->pitch * size, in->pitch * size, n,
                            width);
            row += n;
            at = 0;
        }
    }
}

INGOT_KERNEL_FN(concat) {
    (void)scratch;
    const ingot_concat_params *p = call->params;
    const ingot_arg *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    uint32_t all = units(call);
    int64_t rows = row_count(out), first = ingot_unit_begin(rows, all, begin), last = ingot_unit_begin(rows, all, end);
    if (p->axis + 1 == out->rank) {
        pieces_of_rows(call, first, last);
    } else {
        whole_rows(call, p->axis, first, last);
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_concat = {
    .params_size = sizeof(ingot_concat_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = CONCAT_INPUTS_MAX,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = units,
};
