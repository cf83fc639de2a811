/* Indirect convolution, whatever the element type: which input bytes the pixels of a tile read for each tap.
 *
 * Taps that lie side by side in memory (the last kernel axis, without dilation) merge into one run, so that a first
 * layer of three channels has runs of nine elements and not of three. A tile whose pixels touch the left or right
 * border cannot merge; where channels are few its windows are copied into a patch that has the padding in place. */
#ifndef INGOT_CONV_INDIRECT_H
#define INGOT_CONV_INDIRECT_H

#include "conv_shape.h"
#include "gemm_f32.h"

typedef enum ingot_conv_merge {
    INGOT_CONV_MERGE_NONE,
    INGOT_CONV_MERGE_INNER, /* tiles that touch neither the left nor the right border */
    INGOT_CONV_MERGE_ALL,   /* all tiles, with patches */
} ingot_conv_merge;

typedef struct ingot_conv_plan {
    ingot_conv_shape shape;
    int64_t element;                    /* bytes of one */
    int64_t pixels, tiles;              /* of all images; tiles of at most INGOT_GEMM_MR pixels, balanced */
    int64_t tile_pixels, long_tiles;    /* the first long_tiles have one pixel more */
    int64_t panels;                     /* of one group */
    int64_t slice_panels, group_slices; /* a unit is a tile by a slice of a group's panels */
    int64_t slices;                     /* of all groups */
    int64_t inner_begin, inner_end;     /* output columns whose window lies inside the image, left to right */
    int64_t padding_bytes;              /* length of the row of padding */
    int32_t merge;                      /* ingot_conv_merge */
    int32_t one_row;                    /* all images are one row of pixels that are looked at one by one */
    int32_t tile_major;                 /* units of one tile are neighbours: the weights stay in the cache anyway */
    int32_t fill;                       /* the byte that padding consists of */
    int32_t copy;                       /* pixels of a pointwise convolution are copied: they collide in the cache */
    uint8_t padding[]; /* aligned for any element: the state is, and the size of this struct is a multiple of 8 */
} ingot_conv_plan;

/* Where the operands of a tile lie. */
typedef struct ingot_conv_tile {
    const void *const *rows; /* [taps][INGOT_GEMM_MR] */
    int64_t taps, length;    /* runs, and elements of a run */
    int64_t pixel, count;    /* output pixels */
} ingot_conv_tile;

/* Fills in all but the padding. A run may merge taps only if the channels of one are a multiple of `align`. */
void ingot_conv_plan_make(const ingot_call *call, int64_t element, int64_t align, uint8_t fill, ingot_conv_plan *plan);

/* Cuts it otherwise: at most so many pixels a tile, so many panels a slice. */
void ingot_conv_plan_cut(ingot_conv_plan *plan, int64_t pixels, int64_t panels, int tile_major);

/* The family functions in terms of a plan. */
uint32_t ingot_conv_plan_units(const ingot_conv_plan *plan);
uint64_t ingot_conv_plan_state_size(const ingot_conv_plan *plan);
uint64_t ingot_conv_plan_scratch_size(const ingot_conv_plan *plan);

/* Whether the number of units fits; `panels` of all groups. */
int ingot_conv_units_fit(const ingot_call *call, int64_t panels);

/* What a unit works on. */
typedef struct ingot_conv_unit {
    int64_t tile, group, slice; /* slice of the group */
} ingot_conv_unit;

static inline ingot_conv_unit ingot_conv_unit_at(const ingot_conv_plan *plan, uint32_t index) {
    const int64_t slice = plan->tile_major ? index % plan->slices : index / plan->tiles;
    return (ingot_conv_unit){
        .tile = plan->tile_major ? index / plan->slices : index % plan->tiles,
        .group = slice / plan->group_slices,
        .slice = slice % plan->group_slices,
    };
}

/* The unit after it; what comes after the last is never looked at. */
static inline void ingot_conv_unit_next(const ingot_conv_plan *plan, ingot_conv_unit *unit) {
    if (!plan->tile_major && ++unit->tile < plan->tiles) {
        return;
    }
    unit->tile = plan->tile_major ? unit->tile : 0;
    if (++unit->slice < plan->group_slices) {
        return;
    }
    unit->slice = 0;
    if (++unit->group == plan->shape.groups) {
        unit->group = 0;
        unit->tile++;
    }
}

/* Points at tile `index` for the channels of `group`; rows and patches lie in scratch. */
void ingot_conv_point(const ingot_conv_plan *plan, const void *x, int64_t index, int64_t group, void *scratch,
                      ingot_conv_tile *tile);

#endif
