/* Transposed convolution of channels-last images: parameters shared by C and the builder. */
#ifndef INGOT_CONV_TRANSPOSE_H
#define INGOT_CONV_TRANSPOSE_H

#include <stdint.h>

#include "activation.h"

/* cffi:begin */
/* Three spatial axes always; missing leading ones have kernel, stride and dilation 1 and pad 0. What is cut off or
 * added at the end follows from the extents of the output. */
typedef struct ingot_conv_transpose_params {
    int32_t kernel[3];
    int32_t strides[3];
    int32_t dilations[3];
    int32_t pads_begin[3];
    int32_t groups;
    int32_t reserved; /* 0 */
    ingot_activation activation;
} ingot_conv_transpose_params;
/* cffi:end */

_Static_assert(sizeof(ingot_conv_transpose_params) == 72, "ingot_conv_transpose_params");

#endif
