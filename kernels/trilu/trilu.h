/* The parameters of trilu. */
#ifndef INGOT_TRILU_H
#define INGOT_TRILU_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_trilu_params {
    uint32_t upper; /* 1: keeps what lies on and above the diagonal; 0: on and below */
    uint32_t reserved;
} ingot_trilu_params;
/* cffi:end */

#endif
