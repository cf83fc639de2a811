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

/* Along the last axis a row of the output has a piece of every input; so has, of dense operands, all that belongs to
 * one index of the axes in front, if that is short. Otherwise a row belongs to one input. */
static bool has_pieces(const ingot_call *call, uint32_t axis) {
    const ingot_arg *out = &call->out[0];
    if (axis + 1U == out->rank) {
        return true;
    }
    bool dense = out->pitch == ingot_last_extent(out);
    for (uint32_t i = 0; i < call->in_count; i++) {
        dense = dense && call->in[i].pitch == ingot_last_extent(&call->in[i]);
    }
    return dense && ingot_extent(out, (int)axis, out->rank) * ingot_element_size(out->dtype) <= INGOT_UNIT_BYTES;
}

/* Elements of an operand that belong to one index of the axes in front, and from one such index to the next. */
static int64_t piece_width(const ingot_arg *arg, uint32_t axis) { return ingot_extent(arg, (int)axis, arg->rank); }

static int64_t piece_step(const ingot_arg *arg, uint32_t axis) {
    return axis + 1U == arg->rank ? arg->pitch : piece_width(arg, axis);
}

static int64_t row_count(const ingot_call *call, uint32_t axis) { /* of an output that has elements */
    const ingot_arg *out = &call->out[0];
    return out->count / (has_pieces(call, axis) ? piece_width(out, axis) : ingot_last_extent(out));
}

static uint32_t units(const ingot_call *call) {
    const ingot_concat_params *p = call->params;
    const ingot_arg *out = &call->out[0];
    if (out->count == 0) {
        return 1;
    }
    int64_t rows = row_count(call, p->axis);
    return ingot_units_for(rows, out->count / rows * ingot_element_size(out->dtype));
}

/* Single elements of two inputs in turn, as when channels are shuffled: a pair is one store, on a machine that keeps
 * the low end first as all that Ingot runs on do. */
#define WEAVE_FUNCTION(name, type, pair)                                                                               \
    static void name(const void *first, const void *second, int64_t count, void *out) {                                \
        const type *a = first, *b = second;                                                                            \
        pair *to = out;                                                                                                \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            const pair both = (pair)((pair)a[i] | (pair)((pair)b[i] << 8 * sizeof(type)));                             \
            memcpy(to + i, &both, sizeof both); /* elements are aligned, pairs need not be */                          \
        }                                                                                                              \
    }
WEAVE_FUNCTION(weave_1, uint8_t, uint16_t)
WEAVE_FUNCTION(weave_2, uint16_t, uint32_t)
WEAVE_FUNCTION(weave_4, uint32_t, uint64_t)

/* Whether rows are pairs of elements that lie side by side in the result and in both inputs. */
static bool has_pairs(const ingot_call *call, uint32_t axis) {
    return call->in_count == 2 && piece_width(&call->in[0], axis) == 1 && piece_width(&call->in[1], axis) == 1 &&
           piece_step(&call->in[0], axis) == 1 && piece_step(&call->in[1], axis) == 1 &&
           piece_step(&call->out[0], axis) == 2 && ingot_element_size(call->out[0].dtype) <= 4;
}

static void pairs_of_rows(const ingot_call *call, int64_t begin, int64_t end) {
    const int64_t size = ingot_element_size(call->out[0].dtype);
    (size == 1   ? weave_1
     : size == 2 ? weave_2
                 : weave_4)((const char *)call->in[0].data + begin * size,
                            (const char *)call->in[1].data + begin * size, end - begin,
                            (char *)call->out[0].data + 2 * begin * size);
}

static void pieces_of_rows(const ingot_call *call, uint32_t axis, int64_t begin, int64_t end) {
    const ingot_arg *out = &call->out[0];
    int64_t size = ingot_element_size(out->dtype), step = piece_step(out, axis) * size;
    char *to = (char *)out->data + begin * step;
    for (uint32_t i = 0; i < call->in_count; i++) {
        const ingot_arg *in = &call->in[i];
        if (in->count == 0) {
            continue;
        }
        int64_t width = piece_width(in, axis) * size, from_step = piece_step(in, axis) * size;
        ingot_copy_rows(to, step, (const char *)in->data + begin * from_step, from_step, end - begin, width);
        to += width;
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
    int64_t rows = row_count(call, p->axis);
    int64_t first = ingot_unit_begin(rows, all, begin), last = ingot_unit_begin(rows, all, end);
    if (has_pairs(call, p->axis)) {
        pairs_of_rows(call, first, last);
    } else if (has_pieces(call, p->axis)) {
        pieces_of_rows(call, p->axis, first, last);
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
