/* Tensor maps: what the documentation of the real call asks of its arguments, and what boxes.cpp reads of them. */
#include <string.h>

#include "driver.h"

namespace {

enum { UINT8 = 0, UINT16 = 1, UINT32 = 2 }; /* CUtensorMapDataType */
enum { NO_INTERLEAVE = 0, SWIZZLE_128 = 3, MOST_PROMOTION = 3, ZEROS = 0 };
constexpr uint32_t BOX_ROWS = 64, BOX_BYTES = 128; /* all that copy_box knows */

} // namespace

API CUresult cuTensorMapEncodeTiled(void *map, int type, uint32_t rank, void *address, const uint64_t *extents,
                                    const uint64_t *strides, const uint32_t *box, const uint32_t *steps, int interleave,
                                    int swizzle, int promotion, int fill) {
    ENTER(CONTEXT);
    if (driver.set.arch < 90) return CUDA_ERROR_NOT_SUPPORTED;
    if (!map || (uintptr_t)map % 64 || type < UINT8 || type > UINT32 || rank != 2) return CUDA_ERROR_INVALID_VALUE;
    const uint32_t size = 1u << type;
    const uint64_t most = (uint64_t)1 << 32;
    if ((uintptr_t)address % 16 || strides[0] % 16 || strides[0] >= (uint64_t)1 << 40 || strides[0] < extents[0] * size)
        return CUDA_ERROR_INVALID_VALUE;
    for (int d = 0; d < 2; d++)
        if (!extents[d] || extents[d] > most || !box[d] || box[d] > 256 || steps[d] != 1)
            return CUDA_ERROR_INVALID_VALUE;
    if (interleave != NO_INTERLEAVE || swizzle != SWIZZLE_128 || promotion < 0 || promotion > MOST_PROMOTION ||
        fill != ZEROS || box[0] * size != BOX_BYTES || box[1] != BOX_ROWS)
        return CUDA_ERROR_INVALID_VALUE;
    ingot_emulated_map made = {};
    made.mark = INGOT_EMULATED_MAP;
    made.address = (uintptr_t)address;
    made.rows = extents[1];
    made.columns = extents[0];
    made.pitch = strides[0];
    made.size = size;
    memcpy(map, &made, sizeof made);
    return CUDA_SUCCESS;
}
