/* conv_f32_dw_tile: depthwise convolution with windows of 3x3 that move by one or by two, in tiles of 2x4 results.
 *
 * A tile's inputs are loaded once for all windows they lie in: 24 loads serve the 72 products of a stride of one, where
 * conv_f32_dw has one for each. The order of sums is that of conv_f32_dw, so are the weights. */
#ifndef INGOT_CONV_DEPTHWISE_TILE_H
#define INGOT_CONV_DEPTHWISE_TILE_H

#include "depthwise.h"

/* Results of a tile, the window, the most inputs a tile has: those of a stride of two. */
enum {
    INGOT_DW_TILE_LINES = 2,
    INGOT_DW_TILE_COLUMNS = 4,
    INGOT_DW_TILE_RESULTS = INGOT_DW_TILE_LINES * INGOT_DW_TILE_COLUMNS,
    INGOT_DW_TILE_KERNEL = 3,
    INGOT_DW_TILE_INPUTS = (2 * (INGOT_DW_TILE_LINES - 1) + 3) * (2 * (INGOT_DW_TILE_COLUMNS - 1) + 3)
};

/* All pointers are to the first of the channels, a multiple of 16 of them. */
typedef struct ingot_dw_tile {
    const float *const *in;       /* pixels line by line; zeros outside the image */
    const float *weights;         /* [channels / 16][9][16] */
    const float *bias;            /* or NULL */
    float *const *out;            /* [8] pixels line by line */
    const float *const *residual; /* [8], or NULL */
    int64_t channels;
    float lo, hi; /* clamp; infinite when there is none */
} ingot_dw_tile;

typedef void (*ingot_dw_tile_fn)(const ingot_dw_tile *tile);

/* The implementations of one instruction set; tiles by stride, 1 and 2. */
typedef struct ingot_dw_tile_isa {
    ingot_dw_tile_fn tile[2];
    void (*activate)(const ingot_activation *activation, float *x, int64_t n);
} ingot_dw_tile_isa;

int ingot_conv_dw_tile_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const ingot_dw_tile_isa *isa);

#endif
