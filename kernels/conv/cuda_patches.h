/* Convolution whose windows lie side by side, as those that cut an image into patches: a line of a window is one run of
 * elements, so the image is one of fewer, wider pixels, and windows have one tap a line. x has no gaps then, and a line
 * of a window is a whole number of chunks. */
#ifndef INGOT_CONV_CUDA_PATCHES_H
#define INGOT_CONV_CUDA_PATCHES_H

#include "cuda_windows.h"

namespace ingot {

/* The same convolution of the image with wide pixels. */
struct patch_view {
    ingot_cuda_arg x; /* where it lies */
    image_extents e;
    ingot_conv_params p;

    DEVICE patch_view(const ingot_cuda_arg &image, const ingot_cuda_arg &out, const ingot_conv_params &params)
        : e(image, out), p(params) {
        const int width = params.kernel[2];
        x.data = image.data;
        x.pitch = image.pitch * width;
        e.in[2] /= width;
        e.channels *= width;
        p.kernel[2] = p.strides[2] = 1;
    }
};

} // namespace ingot

#endif
