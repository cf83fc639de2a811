/* The parameters of softmax: along which axis, and which of its kind. */
#ifndef INGOT_SOFTMAX_H
#define INGOT_SOFTMAX_H

#include <stdint.h>

/* cffi:begin */
typedef enum ingot_softmax_kind {
    INGOT_SOFTMAX = 0,     /* e^(x - max) / sum */
    INGOT_LOG_SOFTMAX = 1, /* x - max - log(sum) */
    INGOT_HARDMAX = 2,     /* 1 at the first largest element, 0 elsewhere */
    INGOT_SOFTMAX_KIND_COUNT = 3
} ingot_softmax_kind;

typedef struct ingot_softmax_params {
    uint32_t kind; /* ingot_softmax_kind */
    uint32_t axis;
} ingot_softmax_params;
/* cffi:end */

#endif
