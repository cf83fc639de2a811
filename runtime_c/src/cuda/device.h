/* Which device runs a variant. */
#ifndef INGOT_CUDA_DEVICE_CHOICE_H
#define INGOT_CUDA_DEVICE_CHOICE_H

#include "driver.h"

typedef struct ingot_cuda_properties {
    char name[64];
    int arch, multiprocessors, shared, integrated; /* arch: 10 * major + minor; shared: bytes that a block may have */
} ingot_cuda_properties;

/* The answer of the driver: 0, or its error. */
int ingot_cuda_ask(const ingot_driver *driver, int ordinal, ingot_cuda_properties *found);

/* Finds a device that can run the variant: its architecture, its driver, its shared memory. `wanted` is 1 + the only
 * index that may be taken, or 0. Of several, one with the number of multiprocessors that the variant was tuned for,
 * else the first. INGOT_ERR_NO_VARIANT: none can, and `error` says what was wanted and what was found. */
ingot_status ingot_cuda_find_device(const ingot_file *file, const ingot_variant *variant, uint32_t wanted, int *device,
                                    ingot_error *error);

#endif
