/* normalize_f32, compiled once for each instruction set. */
#include "normalize/normalize_shape.h"

#define T float
#define NAME(x) x##_f32
#include "normalize/normalize_body.h"

INGOT_KERNEL_FN(normalize_f32) {
    const ingot_normalize_params *p = call->params;
    const normalize_shape shape = normalize_shape_of(call);
    for (uint32_t unit = begin; unit < end; unit++) {
        if (p->kind == INGOT_NORMALIZE_GROUP) {
            group_unit_f32(call, &shape, unit, scratch);
        } else {
            row_unit_f32(call, &shape, unit);
        }
    }
    return INGOT_KERNEL_OK;
}
