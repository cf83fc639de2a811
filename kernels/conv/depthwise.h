/* conv_f32_dw: a convolution in which each channel is a group of its own. Shared by depthwise_cpu.c, which plans it,
 * and depthwise_impl.h, which the files of the instruction sets compile. */
#ifndef INGOT_CONV_DEPTHWISE_H
#define INGOT_CONV_DEPTHWISE_H

#include "conv_shape.h"

enum { INGOT_DW_LANES = 16, INGOT_DW_CHUNK = 32 /* output pixels of a work unit, all in one row */ };

typedef struct ingot_dw_plan {
    ingot_conv_shape shape;
    int64_t chunks;                 /* of a row */
    int64_t inner_begin, inner_end; /* output columns whose window lies inside the image, left to right */
} ingot_dw_plan;

#endif
