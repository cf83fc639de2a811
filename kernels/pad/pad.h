/* The parameters of pad. */
#ifndef INGOT_PAD_H
#define INGOT_PAD_H

#include <stdint.h>

/* cffi:begin */
typedef enum ingot_pad_mode {
    INGOT_PAD_CONSTANT = 0,
    INGOT_PAD_REFLECT = 1, /* mirrored at the edge element, which is not repeated */
    INGOT_PAD_EDGE = 2,
    INGOT_PAD_WRAP = 3,
    INGOT_PAD_MODE_COUNT = 4
} ingot_pad_mode;

/* What comes behind an axis follows from the extents: out - in - before. Negative amounts crop. */
typedef struct ingot_pad_params {
    int64_t before[8];
    uint8_t value[8]; /* the bytes of one element, the rest unused; for INGOT_PAD_CONSTANT */
    uint32_t mode;    /* ingot_pad_mode */
    uint32_t reserved;
} ingot_pad_params;
/* cffi:end */

#endif
