/* The parameters of strided_copy: which element of the input each element of the output is. */
#ifndef INGOT_STRIDED_COPY_H
#define INGOT_STRIDED_COPY_H

#include <stdint.h>

/* cffi:begin */
enum { INGOT_STRIDED_BROADCAST = 255 };

/* out[i0, i1, ...] = in[j0, j1, ...] with j_a = start[a] + the sum of step[o] * i_o over all o with axis[o] == a.
 * Said in axes instead of strides, so that pitched operands need no other parameters and a check is easy. */
typedef struct ingot_strided_copy_params {
    int64_t start[8]; /* of each input axis */
    int64_t step[8];  /* of each output axis, along the input axis that it walks */
    uint8_t axis[8];  /* of each output axis: the input axis that it walks, or INGOT_STRIDED_BROADCAST */
} ingot_strided_copy_params;
/* cffi:end */

#endif
