/* The plan of a transposed convolution, whatever the element type: its tiles, and which input bytes they read.
 *
 * Weights: [groups x ceil(O / groups / 16)][taps]..., taps sorted by phase: lexicographically by (phase z, phase y,
 * phase x, z, y, x), where the phase of tap k of an axis is (k * dilation) mod stride. All output pixels of one row and
 * one phase use the same taps and neighbouring input pixels, so they are rows of a matrix product. */
#ifndef INGOT_CONV_TRANSPOSE_PLAN_H
#define INGOT_CONV_TRANSPOSE_PLAN_H

#include "conv_transpose_shape.h"
#include "gemm_f32.h"

typedef struct ingot_deconv_plan {
    ingot_deconv_shape shape;
    int64_t element;                      /* bytes of one */
    int64_t panels, group_slices, slices; /* of a group: panels, slices of them; slices of all groups */
    int64_t slice_panels;                 /* a unit is a tile by a slice */
    int64_t lines;                        /* output rows of all images */
    int64_t long_phases, long_pixels;     /* the first phases of a row have one pixel more than the others */
    int64_t long_tiles, short_tiles;      /* of one phase of a row */
    int64_t line_tiles;
    int64_t tile_major;
    int64_t padding_bytes;
    uint8_t padding[]; /* aligned for any element */
} ingot_deconv_plan;

/* Fills in all but the padding. */
void ingot_deconv_plan_make(const ingot_call *call, int64_t element, int64_t slice_panels, ingot_deconv_plan *plan);
uint32_t ingot_deconv_plan_units(const ingot_deconv_plan *plan);
uint64_t ingot_deconv_plan_state_size(const ingot_deconv_plan *plan);
uint64_t ingot_deconv_plan_scratch_size(const ingot_deconv_plan *plan);

/* What a unit works on. */
typedef struct ingot_deconv_unit {
    int64_t tile, group, panel; /* first panel of the group's */
} ingot_deconv_unit;

ingot_deconv_unit ingot_deconv_unit_at(const ingot_deconv_plan *plan, uint32_t index);

/* Where the operands of a tile lie: output pixels `pixel`, pixel + step, ... of one row. */
typedef struct ingot_deconv_tile {
    const void *const *rows; /* [taps][INGOT_GEMM_MR] */
    int64_t taps, first_tap; /* runs; the first tap in the sorted order of all */
    int64_t phase;           /* (z, y, x) as one number */
    int64_t pixel, step, count;
} ingot_deconv_tile;

/* Points at tile `index` for the channels of `group`; rows lie in scratch. */
void ingot_deconv_point(const ingot_deconv_plan *plan, const void *x, int64_t index, int64_t group, void *scratch,
                        ingot_deconv_tile *tile);

#endif
