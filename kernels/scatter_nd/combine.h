/* How a scattered update joins what is there, for each reduction and element type. */
#ifndef INGOT_COMBINE_H
#define INGOT_COMBINE_H

#include "scatter_nd/scatter_nd.h"
#include "strided_copy/movement.h"

typedef void (*ingot_combine_fn)(void *to, const void *from, int64_t count);

/* The function for a reduction other than INGOT_SCATTER_NONE, or NULL when there is none for the type. */
ingot_combine_fn ingot_combiner(uint8_t dtype, uint32_t reduction);

/* Whether a type can be scattered with a reduction at all. */
static inline bool ingot_can_combine(uint8_t dtype, uint32_t reduction) {
    return reduction == INGOT_SCATTER_NONE ? ingot_element_size(dtype) != 0 : ingot_combiner(dtype, reduction) != NULL;
}

/* `count` elements of `size` bytes joined to those at `to`; a NULL `combine` replaces them. */
static inline void ingot_combine(ingot_combine_fn combine, void *to, const void *from, int64_t count, int64_t size) {
    if (combine == NULL) {
        ingot_copy_run(to, from, count * size);
    } else {
        combine(to, from, count);
    }
}

#endif
