/* gather_elements: out[i, j, k] = data[i, indices[i, j, k], k] for the axis in the middle, any rank and axis alike. */
#include "gather_elements/gather_elements.h"

#include "strided_copy/movement.h"

static const char *check(const ingot_call *call) {
    const ingot_gather_elements_params *p = call->params;
    const ingot_arg *data = &call->in[0], *indices = &call->in[1], *out = &call->out[0];
    if (data->dtype != out->dtype || ingot_element_size(data->dtype) == 0 || !ingot_is_index(indices)) {
        return "gather_elements: wrong element types";
    }
    if (p->axis >= data->rank || indices->rank != data->rank || !ingot_same_shape(indices, out)) {
        return "gather_elements: axis or shapes do not go together";
    }
    for (uint32_t axis = 0; axis < data->rank; axis++) {
        if (axis != p->axis && indices->dims[axis] > data->dims[axis]) {
            return "gather_elements: more indices than data";
        }
    }
    return NULL;
}

static uint32_t units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    int64_t width = ingot_last_extent(out);
    return out->count == 0 ? 1 : ingot_units_for(out->count / width, width * ingot_element_size(out->dtype));
}

INGOT_KERNEL_FN(gather_elements) {
    (void)scratch;
    const ingot_gather_elements_params *p = call->params;
    const ingot_arg *data = &call->in[0], *indices = &call->in[1], *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    if (data->count == 0) {
        return INGOT_KERNEL_ERR_INDEX;
    }
    int64_t stride[INGOT_MAX_RANK], size = ingot_element_size(data->dtype), extent = data->dims[p->axis];
    ingot_strides(data, stride);
    uint32_t all = units(call), last = out->rank - 1U;
    int64_t width = ingot_last_extent(out), rows = out->count / width, end_row = ingot_unit_begin(rows, all, end);
    int64_t along = p->axis == last ? 0 : 1; /* from one element of the row to the next, the index aside */
    for (int64_t row = ingot_unit_begin(rows, all, begin); row < end_row; row++) {
        int64_t rest = row, base = 0;
        for (uint32_t axis = last; axis-- > 0;) {
            base += axis == p->axis ? 0 : rest % out->dims[axis] * stride[axis];
            rest /= out->dims[axis];
        }
        const char *from = (const char *)data->data + base * size;
        char *to = (char *)out->data + row * width * size;
        for (int64_t i = 0; i < width; i++) {
            int64_t index = ingot_index_at(indices, row * width + i, extent);
            if (index < 0) {
                return INGOT_KERNEL_ERR_INDEX;
            }
            ingot_copy_run(to + i * size, from + (index * stride[p->axis] + i * along) * size, size);
        }
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_gather_elements = {
    .params_size = sizeof(ingot_gather_elements_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 2,
    .in_max = 2,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = units,
};
