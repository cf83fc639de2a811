/* The parameters of arg_reduce: where the largest or smallest element along an axis stands. */
#ifndef INGOT_ARG_REDUCE_H
#define INGOT_ARG_REDUCE_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_arg_reduce_params {
    uint32_t axis;    /* has extent 1 in the output */
    uint8_t smallest; /* 0: ArgMax; 1: ArgMin */
    uint8_t last;     /* of equal ones 0: the first; 1: the last */
    uint8_t reserved[2];
} ingot_arg_reduce_params;
/* cffi:end */

#endif
