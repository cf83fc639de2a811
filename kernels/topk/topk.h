/* The parameters of topk. */
#ifndef INGOT_TOPK_H
#define INGOT_TOPK_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_topk_params {
    uint32_t axis;
    uint32_t smallest; /* 1: the smallest first; 0: the largest first */
} ingot_topk_params;
/* cffi:end */

#endif
