/* trilu: matrices with everything on the wrong side of a diagonal set to zero. The optional second input says how many
 * places above the main one that diagonal lies. */
#include "trilu/trilu.h"

#include "strided_copy/movement.h"

static const char *check(const ingot_call *call) {
    const ingot_trilu_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (in->dtype != out->dtype || ingot_element_size(in->dtype) == 0 || p->upper > 1) {
        return "trilu: wrong element types or parameters";
    }
    if (in->rank < 2 || !ingot_same_shape(in, out)) {
        return "trilu: the output has another shape than the input";
    }
    if (call->in_count == 2 && call->in[1].dtype != INGOT_DTYPE_NONE &&
        (call->in[1].dtype != INGOT_I64 || call->in[1].count != 1)) {
        return "trilu: the diagonal is not one int64";
    }
    return NULL;
}

static uint32_t units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    int64_t width = ingot_last_extent(out);
    return out->count == 0 ? 1 : ingot_units_for(out->count / width, width * ingot_element_size(out->dtype));
}

static int64_t clamp(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

INGOT_KERNEL_FN(trilu) {
    (void)scratch;
    const ingot_trilu_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    int64_t height = out->dims[out->rank - 2], width = ingot_last_extent(out), size = ingot_element_size(out->dtype);
    bool given = call->in_count == 2 && call->in[1].dtype != INGOT_DTYPE_NONE;
    int64_t diagonal = clamp(given ? *(const int64_t *)call->in[1].data : 0, -height, width);
    uint32_t all = units(call);
    int64_t rows = out->count / width, last = ingot_unit_begin(rows, all, end);
    for (int64_t row = ingot_unit_begin(rows, all, begin); row < last; row++) {
        int64_t at = row % height + diagonal; /* column of the diagonal */
        int64_t from = p->upper ? clamp(at, 0, width) : 0, to = p->upper ? width : clamp(at + 1, 0, width);
        const char *source = (const char *)in->data + row * width * size;
        char *target = (char *)out->data + row * width * size;
        if (target != source) {
            ingot_copy_run(target + from * size, source + from * size, (to - from) * size);
        }
        memset(target, 0, (size_t)(from * size));
        memset(target + to * size, 0, (size_t)((width - to) * size));
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_trilu = {
    .params_size = sizeof(ingot_trilu_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 2,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1,
    .check = check,
    .units = units,
};
