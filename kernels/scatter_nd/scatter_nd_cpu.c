/* scatter_nd: the data, with the slice that each index tuple names replaced by (or combined with) an update. One unit:
 * several updates may go to one place, and they go there in order. */
#include "scatter_nd/scatter_nd.h"

#include "scatter_nd/combine.h"

static const char *check(const ingot_call *call) {
    const ingot_scatter_nd_params *p = call->params;
    const ingot_arg *data = &call->in[0], *indices = &call->in[1], *updates = &call->in[2], *out = &call->out[0];
    if (data->dtype != out->dtype || updates->dtype != out->dtype || !ingot_is_index(indices) ||
        !ingot_can_combine(out->dtype, p->reduction)) {
        return "scatter_nd: wrong element types or unknown reduction";
    }
    if (!ingot_same_shape(data, out) || indices->rank == 0) {
        return "scatter_nd: the output has another shape than the data";
    }
    uint32_t lead = indices->rank - 1U;
    int64_t tuple = indices->dims[lead];
    if (tuple < 1 || tuple > data->rank || updates->rank != lead + data->rank - (uint32_t)tuple) {
        return "scatter_nd: index tuples of a length that the data does not have";
    }
    for (uint32_t axis = 0; axis < updates->rank; axis++) {
        if (updates->dims[axis] != (axis < lead ? indices->dims[axis] : data->dims[axis - lead + (uint32_t)tuple])) {
            return "scatter_nd: the updates have another shape than the indices and the data give";
        }
    }
    return NULL;
}

INGOT_KERNEL_FN(scatter_nd) {
    (void)begin;
    (void)end;
    (void)scratch;
    const ingot_scatter_nd_params *p = call->params;
    const ingot_arg *data = &call->in[0], *indices = &call->in[1], *updates = &call->in[2], *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    int64_t size = ingot_element_size(out->dtype), tuple = ingot_last_extent(indices);
    int64_t slice = ingot_extent(out, (int)tuple, out->rank), items = indices->count / tuple;
    ingot_combine_fn combine = ingot_combiner(out->dtype, p->reduction);
    if (out->data != data->data) {
        memcpy(out->data, data->data, (size_t)(out->count * size));
    }
    for (int64_t item = 0; item < items; item++) {
        int64_t at = 0;
        for (int64_t i = 0; i < tuple; i++) {
            int64_t index = ingot_index_at(indices, item * tuple + i, out->dims[i]);
            if (index < 0) {
                return INGOT_KERNEL_ERR_INDEX;
            }
            at = at * out->dims[i] + index;
        }
        ingot_combine(combine, (char *)out->data + at * slice * size, (const char *)updates->data + item * slice * size,
                      slice, size);
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_scatter_nd = {
    .params_size = sizeof(ingot_scatter_nd_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 3,
    .in_max = 3,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1,
    .check = check,
};
