/* gather: out[outer, i..., inner] = data[outer, indices[i...], inner]. Negative indices count from the end. */
#include "gather/gather.h"

#include "strided_copy/movement.h"

static const char *check(const ingot_call *call) {
    const ingot_gather_params *p = call->params;
    const ingot_arg *data = &call->in[0], *indices = &call->in[1], *out = &call->out[0];
    if (data->dtype != out->dtype || ingot_element_size(data->dtype) == 0 || !ingot_is_index(indices)) {
        return "gather: wrong element types";
    }
    if (p->axis >= data->rank || data->rank - 1 + indices->rank != out->rank) {
        return "gather: axis or ranks out of range";
    }
    for (uint32_t axis = 0; axis < out->rank; axis++) {
        int64_t extent = axis < p->axis                   ? data->dims[axis]
                         : axis < p->axis + indices->rank ? indices->dims[axis - p->axis]
                                                          : data->dims[axis - indices->rank + 1];
        if (out->dims[axis] != extent) {
            return "gather: the output has another shape than data and indices give";
        }
    }
    return NULL;
}

/* Bytes that move together: everything behind the axis. */
static int64_t slice_bytes(const ingot_call *call) {
    const ingot_gather_params *p = call->params;
    return ingot_extent(&call->in[0], (int)p->axis + 1, call->in[0].rank) * ingot_element_size(call->in[0].dtype);
}

static uint32_t units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    if (out->count == 0) {
        return 1;
    }
    int64_t bytes = slice_bytes(call);
    return ingot_units_for(out->count / (bytes / ingot_element_size(out->dtype)), bytes);
}

INGOT_KERNEL_FN(gather) {
    (void)scratch;
    const ingot_gather_params *p = call->params;
    const ingot_arg *data = &call->in[0], *indices = &call->in[1], *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    uint32_t all = units(call);
    int64_t extent = data->dims[p->axis], bytes = slice_bytes(call);
    int64_t items = out->count / (bytes / ingot_element_size(out->dtype)), last = ingot_unit_begin(items, all, end);
    int64_t item = ingot_unit_begin(items, all, begin), at = item % indices->count;
    const char *block = (const char *)data->data + item / indices->count * extent * bytes;
    for (; item < last; item++) {
        int64_t index = ingot_index_at(indices, at, extent);
        if (index < 0) {
            return INGOT_KERNEL_ERR_INDEX;
        }
        ingot_copy_run((char *)out->data + item * bytes, block + index * bytes, bytes);
        if (++at == indices->count) {
            at = 0;
            block += extent * bytes;
        }
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_gather = {
    .params_size = sizeof(ingot_gather_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 2,
    .in_max = 2,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = units,
};
