/* Depthwise windows of 3x3 over what is stored in bfloat16, in tiles of 2x4 results as depthwise_tile.h has them:
 * operands are widened as they are loaded, results rounded as they are stored, and nothing lies in memory between. */
#ifndef INGOT_CONV_DEPTHWISE_HALF_TILE_H
#define INGOT_CONV_DEPTHWISE_HALF_TILE_H

#include "depthwise_tile.h"

/* By stride, 1 and 2. */
typedef struct ingot_dw_half_tiles {
    ingot_dw_tile_fn tile[2];
    int (*activates)(const ingot_activation *activation); /* whether they do that one */
} ingot_dw_half_tiles;

#endif
