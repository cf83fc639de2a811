/* gather_nd: each tuple in the last axis of the indices names a slice of the data (of the same batch). */
#include "gather_nd/gather_nd.h"

#include "strided_copy/movement.h"

static const char *check(const ingot_call *call) {
    const ingot_gather_nd_params *p = call->params;
    const ingot_arg *data = &call->in[0], *indices = &call->in[1], *out = &call->out[0];
    if (data->dtype != out->dtype || ingot_element_size(data->dtype) == 0 || !ingot_is_index(indices)) {
        return "gather_nd: wrong element types";
    }
    if (indices->rank == 0 || p->batch_dims >= indices->rank || p->batch_dims >= data->rank) {
        return "gather_nd: too many batch axes";
    }
    uint32_t lead = indices->rank - 1U;
    int64_t tuple = indices->dims[lead];
    if (tuple < 1 || tuple > data->rank - (int64_t)p->batch_dims) {
        return "gather_nd: index tuples of a length that the data does not have";
    }
    uint32_t first = p->batch_dims + (uint32_t)tuple; /* axis of the data behind the indexed ones */
    if (out->rank != lead + data->rank - first) {
        return "gather_nd: the output has another rank";
    }
    for (uint32_t axis = 0; axis < out->rank; axis++) {
        if (out->dims[axis] != (axis < lead ? indices->dims[axis] : data->dims[first + axis - lead])) {
            return "gather_nd: the output has another shape";
        }
    }
    for (uint32_t axis = 0; axis < p->batch_dims; axis++) {
        if (indices->dims[axis] != data->dims[axis]) {
            return "gather_nd: data and indices differ in a batch axis";
        }
    }
    return NULL;
}

static int64_t slice_count(const ingot_call *call) { /* of an output that has elements */
    return call->out[0].count / ingot_extent(&call->in[1], 0, call->in[1].rank - 1);
}

static uint32_t units(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    if (out->count == 0) {
        return 1;
    }
    int64_t slice = slice_count(call);
    return ingot_units_for(out->count / slice, slice * ingot_element_size(out->dtype));
}

INGOT_KERNEL_FN(gather_nd) {
    (void)scratch;
    const ingot_gather_nd_params *p = call->params;
    const ingot_arg *data = &call->in[0], *indices = &call->in[1], *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    if (data->count == 0) {
        return INGOT_KERNEL_ERR_INDEX;
    }
    int64_t slice = slice_count(call), items = out->count / slice, tuple = ingot_last_extent(indices);
    int64_t bytes = slice * ingot_element_size(out->dtype);
    int64_t batches = ingot_extent(data, 0, (int)p->batch_dims), per_batch = items / batches;
    uint32_t all = units(call);
    int64_t last = ingot_unit_begin(items, all, end);
    for (int64_t item = ingot_unit_begin(items, all, begin); item < last; item++) {
        int64_t at = item / per_batch;
        for (int64_t i = 0; i < tuple; i++) {
            int64_t extent = data->dims[p->batch_dims + i];
            int64_t index = ingot_index_at(indices, item * tuple + i, extent);
            if (index < 0) {
                return INGOT_KERNEL_ERR_INDEX;
            }
            at = at * extent + index;
        }
        ingot_copy_run((char *)out->data + item * bytes, (const char *)data->data + at * bytes, bytes);
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_gather_nd = {
    .params_size = sizeof(ingot_gather_nd_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 2,
    .in_max = 2,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = units,
};
