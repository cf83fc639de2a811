/* The parameters of gather. */
#ifndef INGOT_GATHER_H
#define INGOT_GATHER_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_gather_params {
    uint32_t axis; /* of the data */
    uint32_t reserved;
} ingot_gather_params;
/* cffi:end */

#endif
