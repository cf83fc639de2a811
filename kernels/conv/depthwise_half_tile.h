/* Depthwise windows of 3x3 over what is stored in bfloat16, in tiles of 2x4 results as depthwise_tile.h has them:
 * operands are widened as they are loaded, results rounded as they are stored, and nothing lies in memory between. */
#ifndef INGOT_CONV_DEPTHWISE_HALF_TILE_H
#define INGOT_CONV_DEPTHWISE_HALF_TILE_H

#include "depthwise_tile.h"

/* All pointers are to the first of the channels, any number of them; those of pixels to bfloat16. */
typedef struct ingot_dw_half_tile {
    const void *const *in;       /* pixels line by line; zeros outside the image */
    int64_t moved;               /* elements by which all of them lie behind that */
    const float *weights;        /* [channels / 16][9][16] */
    const float *bias;           /* or NULL */
    void *const *out;            /* [8] pixels line by line */
    const void *const *residual; /* [8], or NULL */
    int64_t channels;
    float lo, hi;                       /* clamp; infinite when there is none */
    const ingot_activation *activation; /* NULL when the clamp does it */
} ingot_dw_half_tile;

/* By stride, 1 and 2. */
typedef struct ingot_dw_half_tiles {
    void (*tile[2])(const ingot_dw_half_tile *tile);
    int (*activates)(const ingot_activation *activation); /* whether they do that one */
} ingot_dw_half_tiles;

#endif
