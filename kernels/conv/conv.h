/* Convolution of channels-last images: parameters shared by C and the builder. */
#ifndef INGOT_CONV_H
#define INGOT_CONV_H

#include <stdint.h>

#include "activation.h"
#include "gemm_cut.h"
#include "numbers_s8.h"

/* cffi:begin */
/* Three spatial axes always; missing leading ones have kernel, stride and dilation 1 and pad 0. */
typedef struct ingot_conv_params {
    int32_t kernel[3];
    int32_t strides[3];
    int32_t dilations[3];
    int32_t pads_begin[3];
    int32_t pads_end[3];
    int32_t groups;
    ingot_activation activation;
} ingot_conv_params;

/* Operands: x, weights, bias (real numbers, or int32 that is added to the sums), residual, sums of the weights of each
 * output channel (int32), scale of x times scale of the weights for each output channel. The result is int8 or float32.
 * Weights in parts that are to be added: the first axis has an extent of so many, and dilation 0. */
typedef struct ingot_conv_s8_params {
    ingot_conv_params conv; /* activation: none, relu or clip */
    ingot_s8_numbers numbers;
    ingot_s8_tuning tuning; /* way: an ingot_conv_s8_way; an ingot_depthwise_s8_way, and nothing else */
} ingot_conv_s8_params;

/* How conv_s8_n16k4 reads windows. Where it cannot, tiles of any pixels through pointers are what is left. */
typedef enum ingot_conv_s8_way {
    INGOT_CONV_S8_AUTO,
    INGOT_CONV_S8_POINTERS, /* tiles of any pixels, by a pointer for each pixel and tap */
    INGOT_CONV_S8_LINES, /* tiles of neighbours in a row, each line of a window as one run: where it lies, or a copy */
    INGOT_CONV_S8_WINDOWS, /* tiles of any pixels, whose windows are written out; the weights have no line padding */
} ingot_conv_s8_way;

/* How conv_s8_dw goes through an image. */
typedef enum ingot_depthwise_s8_way {
    INGOT_DEPTHWISE_S8_LANES,   /* the pixels of a row as one run */
    INGOT_DEPTHWISE_S8_COLUMNS, /* 64 channels at a time, column by column: windows of three columns, up to four lines
                                 */
    INGOT_DEPTHWISE_S8_PAIRS,   /* the same, two rows of results at a time: up to three lines, all strides 1 */
    INGOT_DEPTHWISE_S8_WAYS,
} ingot_depthwise_s8_way;

/* A convolution of float32 and how it is cut. */
typedef struct ingot_conv_cut_params {
    ingot_conv_params conv;
    ingot_gemm_cut cut;
} ingot_conv_cut_params;

/* A depthwise convolution and the pointwise one that reads it. Operands: weights, bias and residual of the pointwise
 * one, then x, weights and bias of the depthwise one, and an absent residual. */
typedef struct ingot_conv_dw_pw_params {
    ingot_conv_params depthwise;
    ingot_conv_params pointwise;
} ingot_conv_dw_pw_params;

/* A convolution with windows of 3x3 by minimal filtering, and how it is cut into work units. */
typedef struct ingot_conv_winograd_params {
    ingot_conv_params conv;
    int32_t tile;  /* 2 or 4: output pixels of a tile, along both axes */
    int32_t block; /* tiles of a work unit, 1 to 256 */
    int32_t slice; /* panels of output channels of a work unit, 1 to 64 */
    int32_t made;  /* 1: weights are those of the windows, transformed when a context is made; float32, tiles of 4 */
} ingot_conv_winograd_params;
/* cffi:end */

_Static_assert(sizeof(ingot_conv_params) == 80, "ingot_conv_params");
_Static_assert(sizeof(ingot_conv_s8_params) == 120, "ingot_conv_s8_params");
_Static_assert(sizeof(ingot_conv_cut_params) == 96, "ingot_conv_cut_params");
_Static_assert(sizeof(ingot_conv_dw_pw_params) == 160, "ingot_conv_dw_pw_params");
_Static_assert(sizeof(ingot_conv_winograd_params) == 96, "ingot_conv_winograd_params");

#endif
