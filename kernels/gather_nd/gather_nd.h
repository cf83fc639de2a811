/* The parameters of gather_nd. */
#ifndef INGOT_GATHER_ND_H
#define INGOT_GATHER_ND_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_gather_nd_params {
    uint32_t batch_dims; /* leading axes that data and indices share */
    uint32_t reserved;
} ingot_gather_nd_params;
/* cffi:end */

#endif
