/* What the lanes of a warp do together, once all 32 have come. */
#ifndef INGOT_EMULATOR_WARP_H
#define INGOT_EMULATOR_WARP_H

#include "machine.h"

struct warp_operation {
    const char *name;
    void (*all)(void *const *lanes); /* the record of each lane */
};

struct shuffle_record {
    uint32_t x;
    ingot_shuffle how;
    int by;
    uint32_t result;
};
struct matrix_record {
    uint32_t *words; /* one a matrix */
    const void *row;
    int matrices;
};
struct product_record {
    void *d;
    const uint32_t *a, *b;
};

extern const warp_operation warp_sync, warp_ballot, warp_load, warp_load_transposed;
extern const warp_operation warp_shuffle[4];  /* by ingot_shuffle */
extern const warp_operation warp_multiply[4]; /* by ingot_product */

#endif
