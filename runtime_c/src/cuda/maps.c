/* Tensor maps: what steps tell the device of the operands that it copies in boxes (cuda_call.h). */
#include <stdalign.h>
#include <string.h>

#include "cuda.h"
#include "cuda_call.h"

static const ingot_family *family_of(const ingot_context *c, uint32_t step) {
    return c->program->steps[step].kernel->family;
}

/* The matrix of an operand's rows. The runtime's checks have seen its shape; it has no elements where nothing is
 * copied.
 */
static CUresult encode(const ingot_driver *driver, const ingot_cuda_arg *arg, void *map) {
    static const uint32_t steps[2] = {1, 1};
    const uint32_t size = ingot_dtype_bits(arg->dtype) / 8;
    const uint64_t columns = (uint64_t)arg->dims[arg->rank - 1], pitch = (uint64_t)arg->pitch * size;
    const uint32_t box[2] = {INGOT_CUDA_BOX_BYTES / size, INGOT_CUDA_BOX_ROWS};
    const int type = size == 1 ? CU_TENSOR_MAP_UINT8 : size == 2 ? CU_TENSOR_MAP_UINT16 : CU_TENSOR_MAP_UINT32;
    uint64_t rows = 1;
    for (uint32_t d = 0; d + 1 < arg->rank; d++) rows *= (uint64_t)arg->dims[d];
    if (rows == 0 || columns == 0) return CUDA_SUCCESS;
    const uint64_t extents[2] = {columns, rows};
    return driver->cuTensorMapEncodeTiled(map, type, 2, arg->data, extents, &pitch, box, steps, 0,
                                          CU_TENSOR_MAP_SWIZZLE_128, CU_TENSOR_MAP_PROMOTION_256, 0);
}

ingot_status ingot_cuda_map(const ingot_context *c, uint32_t step, uint8_t *block, ingot_error *error) {
    const ingot_cuda *cuda = c->cuda;
    const ingot_call *call = &c->steps[step].call;
    const ingot_family *family = family_of(c, step);
    const char *name = ingot_file_string(&c->engine->file, c->program->steps[step].record->name);
    const ingot_cuda_arg *args = (const ingot_cuda_arg *)(const void *)block;
    ingot_status status = INGOT_OK;
    if (family->maps == 0) return status;
    if (!cuda->driver->cuTensorMapEncodeTiled)
        return ingot_fail(error, INGOT_ERR_UNSUPPORTED, INGOT_NO_OFFSET,
                          "step (%.80s) wants tensor maps: the CUDA driver lacks cuTensorMapEncodeTiled", name);
    uint8_t *to =
        block + ingot_cuda_block_size(call->in_count + call->out_count, family) - family->maps * INGOT_CUDA_MAP_BYTES;
    for (uint32_t k = 0; k < family->maps; k++, to += INGOT_CUDA_MAP_BYTES) {
        alignas(INGOT_CUDA_MAP_ALIGN) uint8_t map[INGOT_CUDA_MAP_BYTES] = {0};
        const CUresult result = encode(cuda->driver, &args[k], map);
        if (result) return ingot_driver_fail(cuda->driver, result, "cuTensorMapEncodeTiled", name, error);
        memcpy(to, map, sizeof map);
    }
    return status;
}

ingot_status ingot_cuda_check_maps(const ingot_context *c, uint32_t index, CUdeviceptr view, ingot_error *error) {
    const ingot_file *f = &c->engine->file;
    const uint32_t end = c->io_uses_first[index + 1];
    uint32_t k = c->io_uses_first[index];
    for (uint32_t s = 0, first = 0; k < end; s++) {
        const uint32_t behind = first + c->steps[s].call.in_count + c->steps[s].call.out_count;
        for (; k < end && c->io_uses[k].arg < behind; k++)
            if (c->io_uses[k].arg - first < family_of(c, s)->maps &&
                (view + c->io_uses[k].offset) % INGOT_CUDA_MAPPED_ALIGN)
                return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET,
                                  "bind: the buffer of %.80s must be aligned to %d bytes: step %u (%.80s) reads it by "
                                  "a tensor map",
                                  ingot_file_string(f, ingot_get_io(f, c->program->record, index)->name),
                                  INGOT_CUDA_MAPPED_ALIGN, s, ingot_file_string(f, c->program->steps[s].record->name));
        first = behind;
    }
    return INGOT_OK;
}
