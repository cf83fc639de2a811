/* A function of int8 by table. Operands: x (int8), table (int8 [256], the entry of -128 first). */
#ifndef INGOT_LOOKUP_H
#define INGOT_LOOKUP_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_lookup_params {
    uint64_t reserved; /* 0 */
} ingot_lookup_params;
/* cffi:end */

#endif
