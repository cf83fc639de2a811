/* How a matrix product is cut into tiles and work units, where the builder decides it. */
#ifndef INGOT_GEMM_CUT_H
#define INGOT_GEMM_CUT_H

#include <stdint.h>

/* cffi:begin */
typedef struct ingot_gemm_cut {
    int32_t rows;       /* most rows of a tile, 1 to 10 */
    int32_t slice;      /* panels of 16 columns of a work unit, 1 to 64 */
    int32_t tile_major; /* 1: the slices of one tile follow each other; 0: the tiles of one slice */
    int32_t reserved;
} ingot_gemm_cut;
/* cffi:end */

_Static_assert(sizeof(ingot_gemm_cut) == 16, "ingot_gemm_cut");

#endif
