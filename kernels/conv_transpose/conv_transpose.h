/* Transposed convolution of channels-last images: parameters shared by C and the builder. */
#ifndef INGOT_CONV_TRANSPOSE_H
#define INGOT_CONV_TRANSPOSE_H

#include <stdint.h>

#include "activation.h"
#include "numbers_s8.h"

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

/* Operands: x, weights, bias (real numbers), residual, sums of the weights of each phase and output channel (int32, see
 * conv_transpose_s8.h), scale of x times that of the weights for each channel. The result is int8 or float32. */
typedef struct ingot_conv_transpose_s8_params {
    ingot_conv_transpose_params conv; /* activation: none, relu or clip */
    ingot_s8_numbers numbers;
} ingot_conv_transpose_s8_params;
/* cffi:end */

_Static_assert(sizeof(ingot_conv_transpose_params) == 72, "ingot_conv_transpose_params");
_Static_assert(sizeof(ingot_conv_transpose_s8_params) == 96, "ingot_conv_transpose_s8_params");

#endif
