/* scatter_elements: the data, with out[i, indices[i, j, k], k] replaced by (or combined with) updates[i, j, k] for the
 * axis in the middle. One unit: several updates may go to one place, and they go there in order. */
#include "scatter_elements/scatter_elements.h"

#include "scatter_nd/combine.h"

static const char *check(const ingot_call *call) {
    const ingot_scatter_elements_params *p = call->params;
    const ingot_arg *data = &call->in[0], *indices = &call->in[1], *updates = &call->in[2], *out = &call->out[0];
    if (data->dtype != out->dtype || updates->dtype != out->dtype || !ingot_is_index(indices) ||
        !ingot_can_combine(out->dtype, p->reduction)) {
        return "scatter_elements: wrong element types or unknown reduction";
    }
    if (!ingot_same_shape(data, out) || !ingot_same_shape(indices, updates) || indices->rank != data->rank ||
        p->axis >= data->rank) {
        return "scatter_elements: axis or shapes do not go together";
    }
    for (uint32_t axis = 0; axis < data->rank; axis++) {
        if (axis != p->axis && indices->dims[axis] > data->dims[axis]) {
            return "scatter_elements: more updates than data";
        }
    }
    return NULL;
}

INGOT_KERNEL_FN(scatter_elements) {
    (void)begin;
    (void)end;
    (void)scratch;
    const ingot_scatter_elements_params *p = call->params;
    const ingot_arg *data = &call->in[0], *indices = &call->in[1], *updates = &call->in[2], *out = &call->out[0];
    if (out->count == 0) {
        return indices->count == 0 ? INGOT_KERNEL_OK : INGOT_KERNEL_ERR_INDEX;
    }
    int64_t size = ingot_element_size(out->dtype), stride[INGOT_MAX_RANK];
    if (out->data != data->data) {
        memcpy(out->data, data->data, (size_t)(out->count * size));
    }
    if (indices->count == 0) {
        return INGOT_KERNEL_OK;
    }
    ingot_strides(out, stride);
    ingot_combine_fn combine = ingot_combiner(out->dtype, p->reduction);
    uint32_t last = out->rank - 1U;
    int64_t width = ingot_last_extent(indices), rows = indices->count / width, along = p->axis == last ? 0 : 1;
    for (int64_t row = 0; row < rows; row++) {
        int64_t rest = row, base = 0;
        for (uint32_t axis = last; axis-- > 0;) {
            base += axis == p->axis ? 0 : rest % indices->dims[axis] * stride[axis];
            rest /= indices->dims[axis];
        }
        for (int64_t i = 0; i < width; i++) {
            int64_t index = ingot_index_at(indices, row * width + i, out->dims[p->axis]);
            if (index < 0) {
                return INGOT_KERNEL_ERR_INDEX;
            }
            ingot_combine(combine, (char *)out->data + (base + index * stride[p->axis] + i * along) * size,
                          (const char *)updates->data + (row * width + i) * size, 1, size);
        }
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_scatter_elements = {
    .params_size = sizeof(ingot_scatter_elements_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 3,
    .in_max = 3,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1,
    .check = check,
};
