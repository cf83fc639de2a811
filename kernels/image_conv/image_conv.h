/* Convolution of an image as it comes, channels first: parameters shared by C and the builder. */
#ifndef INGOT_IMAGE_CONV_H
#define INGOT_IMAGE_CONV_H

#include <stdint.h>

#include "conv/conv.h"

/* cffi:begin */
/* Operands: x [N, C, H, W], weights, bias and, of int8, the sums of the weights and scales that
 * ingot_conv_s8_params says. */
typedef struct ingot_image_conv_params {
    ingot_conv_params conv;   /* two spatial axes, without groups and dilation */
    ingot_s8_numbers numbers; /* of int8 alone */
    float scale;              /* x of float32 becomes int8 as QuantizeLinear makes it: x / scale + input_zero */
    uint32_t reserved;        /* 0 */
} ingot_image_conv_params;
/* cffi:end */

_Static_assert(sizeof(ingot_image_conv_params) == 112, "ingot_image_conv_params");

/* Channels of a pixel in shared memory, taps that are taken at once, and columns of the weights that lie together. */
/* And the most taps of a window's axis. */
enum { INGOT_IMAGE_CHANNELS = 4, INGOT_IMAGE_TAPS = 4, INGOT_IMAGE_COLUMNS = 32, INGOT_IMAGE_MOST_TAPS = 4096 };

/* Whether it has two spatial axes alone, no groups and no dilation. */
static inline int ingot_image_conv_plain(const ingot_conv_params *p) {
    return p->kernel[0] == 1 && p->strides[0] == 1 && p->pads_begin[0] == 0 && p->pads_end[0] == 0 && p->groups == 1 &&
           p->dilations[0] == 1 && p->dilations[1] == 1 && p->dilations[2] == 1;
}

#endif
