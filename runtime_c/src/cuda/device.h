/* Which device runs a variant. */
#ifndef INGOT_CUDA_DEVICE_CHOICE_H
#define INGOT_CUDA_DEVICE_CHOICE_H

#include "internal.h"

/* Finds a device that can run the variant: its architecture, its driver, its shared memory. `wanted` is 1 + the only
 * index that may be taken, or 0. Of several, one with the number of multiprocessors that the variant was tuned for,
 * else the first. INGOT_ERR_NO_VARIANT: none can, and `error` says what was wanted and what was found. */
ingot_status ingot_cuda_find_device(const ingot_file *file, const ingot_variant *variant, uint32_t wanted, int *device,
                                    ingot_error *error);

#endif
