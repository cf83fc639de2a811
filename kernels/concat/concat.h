/* The parameters of concat. */
#ifndef INGOT_CONCAT_H
#define INGOT_CONCAT_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_concat_params {
    uint32_t axis;
    uint32_t reserved;
} ingot_concat_params;
/* cffi:end */

#endif
