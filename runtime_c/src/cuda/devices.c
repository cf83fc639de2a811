/* The devices of this machine, for people. */
#include <string.h>

#include "device.h"
#include "direct.h"

ingot_status ingot_direct_device_at(uint32_t index, ingot_direct_device *found, ingot_error *error) {
    ingot_clear(error);
    const ingot_driver *driver = ingot_driver_get(error);
    if (!driver) return INGOT_ERR_NO_VARIANT;
    int count = 0;
    CUresult result = driver->cuDeviceGetCount(&count);
    if (result) return ingot_driver_fail(driver, result, "cuDeviceGetCount", NULL, error);
    if (index >= (uint32_t)count)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "the CUDA driver finds %d devices", count);
    ingot_cuda_properties p;
    CUdevice device = 0;
    size_t bytes = 0;
    result = ingot_cuda_ask(driver, (int)index, &p);
    if (!result) result = driver->cuDeviceGet(&device, (int)index);
    if (!result) result = driver->cuDeviceTotalMem(&bytes, device);
    if (result) return ingot_driver_fail(driver, result, "cuDeviceGetAttribute", NULL, error);
    *found = (ingot_direct_device){.driver = (uint32_t)driver->version,
                                   .arch = (uint32_t)p.arch,
                                   .multiprocessors = (uint32_t)p.multiprocessors,
                                   .integrated = p.integrated != 0,
                                   .bytes = bytes};
    memcpy(found->name, p.name, sizeof found->name);
    return INGOT_OK;
}
