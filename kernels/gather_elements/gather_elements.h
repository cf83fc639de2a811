/* The parameters of gather_elements. */
#ifndef INGOT_GATHER_ELEMENTS_H
#define INGOT_GATHER_ELEMENTS_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_gather_elements_params {
    uint32_t axis; /* of data, indices and output */
    uint32_t reserved;
} ingot_gather_elements_params;
/* cffi:end */

#endif
