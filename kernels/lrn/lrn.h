/* The parameters of lrn: x / (bias + alpha / size * sum of squares over `size` channels around x) ^ beta. */
#ifndef INGOT_LRN_H
#define INGOT_LRN_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_lrn_params {
    int64_t size; /* channels from c - (size - 1) / 2 to c + size / 2 */
    double alpha, beta, bias;
} ingot_lrn_params;
/* cffi:end */

#endif
