/* lookup_s8 around `translate(y, x, n, table)`, which a kernel file defines for its instruction set. */
#ifndef INGOT_LOOKUP_BODY_H
#define INGOT_LOOKUP_BODY_H

#include "lookup.h"
#include "strided_copy/movement.h"

static inline uint32_t lookup_units(const ingot_call *call) { return ingot_units_for(call->out[0].count, 1); }

#define LOOKUP_S8(translate)                                                                                           \
    INGOT_KERNEL_FN(lookup_s8) {                                                                                       \
        (void)scratch;                                                                                                 \
        const int64_t count = call->out[0].count;                                                                      \
        const int64_t first = ingot_unit_begin(count, lookup_units(call), begin);                                      \
        const int64_t last = ingot_unit_begin(count, lookup_units(call), end);                                         \
        translate((int8_t *)call->out[0].data + first, (const int8_t *)call->in[0].data + first, last - first,         \
                  call->in[1].data);                                                                                   \
        return INGOT_KERNEL_OK;                                                                                        \
    }

/* y may be x. */
static inline void lookup_each(int8_t *y, const int8_t *x, int64_t n, const int8_t *table) {
    for (int64_t i = 0; i < n; i++) y[i] = table[x[i] + 128];
}

#endif
