/* conv_f32_dw_tile: depthwise convolution with windows of 3x3 that move by one or by two, in tiles of 2x4 results.
 *
 * A tile's inputs are loaded once for all windows they lie in: 24 loads serve the 72 products of a stride of one, where
 * conv_f32_dw has one for each. The order of sums is that of conv_f32_dw, so are the weights. */
#ifndef INGOT_CONV_DEPTHWISE_TILE_H
#define INGOT_CONV_DEPTHWISE_TILE_H

#include "depthwise.h"
#include "gemm_f32.h"

/* Results of a tile, the window, the most inputs a tile has: those of a stride of two. */
enum {
    INGOT_DW_TILE_LINES = 2,
    INGOT_DW_TILE_COLUMNS = 4,
    INGOT_DW_TILE_RESULTS = INGOT_DW_TILE_LINES * INGOT_DW_TILE_COLUMNS,
    INGOT_DW_TILE_KERNEL = 3,
    INGOT_DW_TILE_SLICE = 256, /* channels done one after the other */
    INGOT_DW_TILE_INPUTS = (2 * (INGOT_DW_TILE_LINES - 1) + 3) * (2 * (INGOT_DW_TILE_COLUMNS - 1) + 3)
};

/* All pointers are to the first of the channels; those of pixels to floats, or, of depthwise_half_tile.h, to bfloat16.
 */
typedef struct ingot_dw_tile {
    const void *const *in;       /* pixels line by line; zeros outside the image */
    int64_t moved;               /* elements by which all of them lie behind that */
    const float *weights;        /* [channels / 16][9][16] */
    const float *bias;           /* or NULL */
    void *const *out;            /* [8] pixels line by line */
    const void *const *residual; /* [8], or NULL */
    int64_t channels;
    float lo, hi;                       /* clamp; infinite when there is none */
    const ingot_activation *activation; /* of bfloat16: NULL when the clamp does it */
} ingot_dw_tile;

typedef void (*ingot_dw_tile_fn)(const ingot_dw_tile *tile);

/* The implementations of one instruction set; tiles by stride, 1 and 2. */
typedef struct ingot_dw_tile_isa {
    const ingot_gemm_f32_isa *gemm;
    ingot_dw_tile_fn tile[2];
    int64_t lanes; /* of which the channels of a tile must be a multiple */
} ingot_dw_tile_isa;

/* Where the inputs of a tile lie, and those of the tiles behind it in its line. All zeros at first. */
typedef struct ingot_dw_tile_inputs {
    const void *in[INGOT_DW_TILE_INPUTS];
    const void *image; /* NULL when some of them are outside: the next tile is pointed at anew */
    int64_t y, x;      /* of the tile's first result */
} ingot_dw_tile_inputs;

/* Those of the tile whose first result is (y, x), a pixel of the image having so many elements of so many bytes. Gives
 * by how many elements they lie behind `inputs->in`. */
int64_t ingot_dw_tile_point(ingot_dw_tile_inputs *inputs, const ingot_conv_shape *s, const void *image, int64_t element,
                            int64_t y, int64_t x, const void *zeros);

/* Its results, or the residuals of these: `pixels` of an image so many bytes apart; `outside` for those that are not in
 * lines before `lines` and columns before `columns`. */
void ingot_dw_tile_results(const ingot_conv_shape *s, const void *pixels, int64_t pixel_bytes, int64_t y, int64_t x,
                           int64_t lines, int64_t columns, const void *outside, const void **results);

/* A pixel of zeros and one to write to, each of a slice of channels; then the channels that do not fill a register, of
 * a tile's inputs, results and residuals. All zeros at first. */
typedef struct ingot_dw_tile_scratch {
    float zeros[INGOT_DW_TILE_SLICE], discard[INGOT_DW_TILE_SLICE];
    float in[INGOT_DW_TILE_INPUTS][INGOT_DW_LANES];
    float out[INGOT_DW_TILE_RESULTS][INGOT_DW_LANES], residual[INGOT_DW_TILE_RESULTS][INGOT_DW_LANES];
    float bias[INGOT_DW_LANES];
    ingot_dw_tile_inputs inputs;
} ingot_dw_tile_scratch;

/* Why these extents cannot be done in tiles, or NULL. */
const char *ingot_dw_tile_shape_check(const ingot_conv_shape *s);

/* The results of one tile whose first is (y, x), of up to a slice of channels. `image` and the pointers of `tile` are
 * to the first of them; its inputs and number of channels are filled in. */
void ingot_dw_tile_at(const ingot_conv_shape *s, const float *image, int64_t y, int64_t x, int64_t channels,
                      ingot_dw_tile *tile, const ingot_dw_tile_isa *isa, ingot_dw_tile_scratch *scratch);

int ingot_conv_dw_tile_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const ingot_dw_tile_isa *isa);
int ingot_conv_dw_pw_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                         const ingot_dw_tile_isa *isa);

extern const ingot_family ingot_family_conv_f32_dw_tile;

#endif
