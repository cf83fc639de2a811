/* The parameters of scatter_nd. */
#ifndef INGOT_SCATTER_ND_H
#define INGOT_SCATTER_ND_H

#include <stdint.h>

/* cffi:begin */
typedef enum ingot_scatter_reduction {
    INGOT_SCATTER_NONE = 0, /* the update replaces; of several to one place the last stays */
    INGOT_SCATTER_ADD = 1,
    INGOT_SCATTER_MUL = 2,
    INGOT_SCATTER_MAX = 3,
    INGOT_SCATTER_MIN = 4,
    INGOT_SCATTER_REDUCTION_COUNT = 5
} ingot_scatter_reduction;

typedef struct ingot_scatter_nd_params {
    uint32_t reduction; /* ingot_scatter_reduction */
    uint32_t reserved;
} ingot_scatter_nd_params;
/* cffi:end */

#endif
