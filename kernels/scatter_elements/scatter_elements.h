/* The parameters of scatter_elements. */
#ifndef INGOT_SCATTER_ELEMENTS_H
#define INGOT_SCATTER_ELEMENTS_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_scatter_elements_params {
    uint32_t axis;
    uint32_t reduction; /* ingot_scatter_reduction of scatter_nd.h */
} ingot_scatter_elements_params;
/* cffi:end */

#endif
