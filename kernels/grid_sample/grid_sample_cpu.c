/* grid_sample: the image [N, *S, C] at the points of the grid [N, *P, len(S)], giving [N, *P, C]. The coordinates of a
 * point come last axis first, in [-1, 1] from one end of the image to the other. */
#include "grid_sample/grid_sample_body.h"

static const char *check(const ingot_call *call) {
    const ingot_grid_sample_params *p = call->params;
    const ingot_arg *x = &call->in[0], *grid = &call->in[1], *out = &call->out[0];
    if (x->dtype != INGOT_F32 || grid->dtype != INGOT_F32 || out->dtype != INGOT_F32) {
        return "grid_sample: wrong element types";
    }
    if (p->mode >= INGOT_GRID_MODE_COUNT || p->padding >= INGOT_GRID_PADDING_COUNT || p->align_corners > 1) {
        return "grid_sample: a parameter out of range";
    }
    if (x->rank < 3 || x->rank - 2 > GRID_AXES_MAX || grid->rank != x->rank || out->rank != x->rank) {
        return "grid_sample: images of 1 to 3 axes, all operands of one rank";
    }
    int last = x->rank - 1;
    if (grid->dims[last] != x->rank - 2 || grid->pitch != grid->dims[last]) {
        return "grid_sample: a point needs a coordinate for each axis of the image";
    }
    if (x->dims[0] != out->dims[0] || grid->dims[0] != out->dims[0] || x->dims[last] != out->dims[last]) {
        return "grid_sample: batch or channels differ";
    }
    for (int axis = 1; axis < last; axis++) {
        if (grid->dims[axis] != out->dims[axis]) {
            return "grid_sample: grid and output differ in shape";
        }
        if (x->dims[axis] == 0 && out->count > 0) {
            return "grid_sample: an image without elements";
        }
    }
    return NULL;
}

static uint32_t units(const ingot_call *call) { return grid_sample_units(call); }

const ingot_family ingot_family_grid_sample = {
    .params_size = sizeof(ingot_grid_sample_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 2,
    .in_max = 2,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = units,
};
