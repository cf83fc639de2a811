/* conv_f32_winograd: convolution with windows of 3x3 by minimal filtering, F(m x m, 3x3) for m of 2 or 4.
 *
 * A tile of m x m results is A' [(G g G') . (B' d B)] A, where d is its patch of (m + 2) x (m + 2) inputs, g the
 * window's weights and . the product by elements; summed over input channels that product is one matrix product for
 * each of the (m + 2)^2 positions, with tiles as rows. It multiplies 2.25 (m = 2) or 4 times (m = 4) less than the
 * windows would. S. Winograd, "Arithmetic Complexity of Computations", 1980; A. Lavin and S. Gray, "Fast Algorithms for
 * Convolutional Neural Networks", 2016.
 *
 * The matrices come from polynomials through the points 0, +-1 and infinity (m = 2) and 0, +-5/8, +-3/2 and infinity
 * (m = 4). All constants are exact in binary32; of the small fractions tried for m = 4 these points give the least
 * error, 0.4 of that of the usual +-1 and +-2. */
#ifndef INGOT_CONV_WINOGRAD_H
#define INGOT_CONV_WINOGRAD_H

#include "conv_shape.h"
#include "gemm_half.h"

/* The points of m = 4 beside 0 and infinity are these and their negatives. */
#define INGOT_WINOGRAD_A 0.625f
#define INGOT_WINOGRAD_B 1.5f

/* Of the largest tile: its side, its pixels, the positions of its patch. */
enum {
    INGOT_WINOGRAD_MOST = 4,
    INGOT_WINOGRAD_PIXELS = INGOT_WINOGRAD_MOST * INGOT_WINOGRAD_MOST,
    INGOT_WINOGRAD_POSITIONS = (INGOT_WINOGRAD_MOST + 2) * (INGOT_WINOGRAD_MOST + 2)
};

/* to[position * stride + channel] = B' d B for whole panels of channels; `pixels` are the inputs of a patch, line by
 * line. */
typedef void (*ingot_winograd_input_fn)(const float *const *pixels, int64_t channels, float *to, int64_t stride);

/* The results of a tile, for whole panels of columns: from[position * stride + column] are the products. All pointers
 * are to the first of the columns. */
typedef struct ingot_winograd_output {
    const float *from;
    int64_t stride, columns;
    const float *bias;            /* or NULL */
    float *const *out;            /* pixels of the tile, line by line */
    const float *const *residual; /* the same, or NULL */
    float lo, hi;                 /* clamp; infinite when there is none */
} ingot_winograd_output;

typedef void (*ingot_winograd_output_fn)(const ingot_winograd_output *tile);

/* The implementations of one instruction set; transforms by m, 2 and 4. */
typedef struct ingot_winograd_isa {
    const ingot_gemm_f32_isa *gemm;
    ingot_winograd_input_fn input[2];
    ingot_winograd_output_fn output[2];
} ingot_winograd_isa;

extern const ingot_winograd_isa ingot_winograd__portable, ingot_winograd__avx2, ingot_winograd__avx512,
    ingot_winograd__neon;

typedef struct ingot_winograd_plan {
    ingot_conv_shape shape;
    int64_t m, positions;
    int64_t lines, columns;        /* of tiles, in an image */
    int64_t tiles, blocks;         /* of all images; blocks are balanced */
    int64_t panels, slices, slice; /* slice: panels of one */
    int64_t in_pitch, in_stride;   /* elements from a tile's transformed inputs to the next tile's, position's */
    int64_t product_pitch, product_stride; /* the same of products */
    const float *weights;                  /* that this context has made, or NULL: those of the operand */
    float zeros[];                         /* a pixel outside the image, in whole panels of channels */
} ingot_winograd_plan;

/* Floats of the weights of so many panels, all positions of tiles of 4. */
static inline int64_t ingot_winograd_weights(int64_t panels, int64_t channels) {
    return panels * INGOT_WINOGRAD_POSITIONS * channels * INGOT_GEMM_NR;
}

/* to[panel][position][channel] = G g G' of from[panel][tap][channel], 16 columns each: by float64 and rounded once, the
 * bits that the builder stores otherwise. */
void ingot_winograd_make_weights(const float *from, int64_t panels, int64_t channels, float *to);

/* What operands of type `dtype` are refused for, but for the weights, or NULL. */
const char *ingot_winograd_check(const ingot_call *call, uint8_t dtype, ingot_conv_shape *shape);
void ingot_winograd_plan_make(const ingot_call *call, ingot_winograd_plan *plan);
uint32_t ingot_winograd_units(const ingot_call *call);
uint64_t ingot_winograd_state_size(const ingot_call *call);
void ingot_winograd_prepare(const ingot_call *call);

/* The first tile of a block and how many there are. */
int64_t ingot_winograd_block(const ingot_winograd_plan *plan, int64_t block, int64_t *count);

/* Where a tile's results begin. */
typedef struct ingot_winograd_tile {
    int64_t image, y, x;
} ingot_winograd_tile;

static inline ingot_winograd_tile ingot_winograd_tile_at(const ingot_winograd_plan *plan, int64_t index) {
    return (ingot_winograd_tile){
        .image = index / plan->columns / plan->lines,
        .y = index / plan->columns % plan->lines * plan->m,
        .x = index % plan->columns * plan->m,
    };
}

int ingot_conv_winograd_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                            const ingot_winograd_isa *isa);

#endif
