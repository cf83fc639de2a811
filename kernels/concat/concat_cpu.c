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

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint16_t words8 __attribute__((vector_size(16)));
typedef uint32_t longs4 __attribute__((vector_size(16)));

static void interleave_16_bytes(void *to, const void *a, const void *b) {
    bytes16 x, y, z[2];
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    z[0] = __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    z[1] = __builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    memcpy(to, z, sizeof z);
}

static void interleave_8_words(void *to, const void *a, const void *b) {
    words8 x, y, z[2];
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    z[0] = __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11);
    z[1] = __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15);
    memcpy(to, z, sizeof z);
}

static void interleave_4_longs(void *to, const void *a, const void *b) {
    longs4 x, y, z[2];
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    z[0] = __builtin_shufflevector(x, y, 0, 4, 1, 5);
    z[1] = __builtin_shufflevector(x, y, 2, 6, 3, 7);
    memcpy(to, z, sizeof z);
}

/* Two operands whose elements take turns, as when channels are shuffled: rows of two elements, 16 bytes of each operand
 * at a time. How many rows were done: all but a few, or none where the operands do not lie so. */
static int64_t interleave(const ingot_call *call, uint32_t axis, int64_t begin, int64_t end) {
    const ingot_arg *out = &call->out[0], *a = &call->in[0], *b = &call->in[1];
    const int64_t size = ingot_element_size(out->dtype);
    if (call->in_count != 2 || piece_width(a, axis) != 1 || piece_width(b, axis) != 1 || piece_step(a, axis) != 1 ||
        piece_step(b, axis) != 1 || piece_step(out, axis) != 2 || size > 4) {
        return 0;
    }
    const int64_t bytes = (end - begin) * size / 16 * 16;
    const char *x = (const char *)a->data + begin * size, *y = (const char *)b->data + begin * size;
    char *to = (char *)out->data + 2 * begin * size;
    for (int64_t at = 0; at < bytes; at += 16) {
        if (size == 1) {
            interleave_16_bytes(to + 2 * at, x + at, y + at);
        } else if (size == 2) {
            interleave_8_words(to + 2 * at, x + at, y + at);
        } else {
            interleave_4_longs(to + 2 * at, x + at, y + at);
        }
    }
    return bytes / size;
}

static void pieces_of_rows(const ingot_call *call, uint32_t axis, int64_t begin, int64_t end) {
    const ingot_arg *out = &call->out[0];
    int64_t size = ingot_element_size(out->dtype), step = piece_step(out, axis) * size;
    begin += interleave(call, axis, begin, end);
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
    if (has_pieces(call, p->axis)) {
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
