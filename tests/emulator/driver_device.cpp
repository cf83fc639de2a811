/* Start, errors, devices and contexts. */
#include <stdio.h>
#include <string.h>

#include "driver.h"

namespace {

const struct {
    CUresult code;
    const char *name, *text;
} errors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for the device"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED",
     "part or all of the requested memory range is already mapped"},
    {CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED",
     "pointer does not correspond to a registered memory region"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
};

thread_local std::vector<CUctx_st *> current;

bool is_device(CUdevice device) { return device >= 0 && device < driver.set.devices; }

bool is_context(CUctx_st *context) {
    for (const CUctx_st &c : driver.primaries)
        if (&c == context) return c.retained > 0;
    return false;
}

} // namespace

CUctx_st *driver_context() { return current.empty() || !is_context(current.back()) ? nullptr : current.back(); }

int driver_shared_limit() { return (driver.set.arch == 87 ? 163 : driver.set.arch < 90 ? 99 : 227) << 10; }

API CUresult cuInit(unsigned flags) {
    ENTER(NOTHING);
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    if (!driver.set.devices) return CUDA_ERROR_NO_DEVICE;
    driver.primaries.resize(64); /* never moved: contexts are their addresses */
    for (size_t i = 0; i < driver.primaries.size(); i++) driver.primaries[i].device = (CUdevice)i;
    driver.started = true;
    return CUDA_SUCCESS;
}

API CUresult cuDriverGetVersion(int *version) {
    ENTER(NOTHING);
    *version = driver.set.version;
    return CUDA_SUCCESS;
}

API CUresult cuGetErrorName(CUresult error, const char **name) {
    *name = nullptr;
    for (const auto &each : errors)
        if (each.code == error) *name = each.name;
    return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API CUresult cuGetErrorString(CUresult error, const char **text) {
    *text = nullptr;
    for (const auto &each : errors)
        if (each.code == error) *text = each.text;
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API CUresult cuDeviceGetCount(int *count) {
    ENTER(START);
    *count = driver.set.devices;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    ENTER(START);
    if (!is_device(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
    ENTER(START);
    if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    snprintf(name, (size_t)size, "%s", driver.set.name.c_str());
    return CUDA_SUCCESS;
}

API CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    ENTER(START);
    if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    *bytes = driver.set.memory;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
    ENTER(START);
    if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    switch (attribute) {
    case 1: *value = 1024; break; /* threads of a block */
    case 2:
    case 3: *value = 1024; break; /* its extents */
    case 4: *value = 64; break;
    case 5: *value = 0x7fffffff; break; /* extents of a grid */
    case 6:
    case 7: *value = 65535; break;
    case 8: *value = 48 << 10; break; /* shared memory of a block that does not ask */
    case 10: *value = 32; break;      /* lanes of a warp */
    case 13: *value = 1000000; break; /* kHz */
    case 16: *value = driver.set.multiprocessors; break;
    case 18: *value = driver.set.integrated; break;
    case 19: *value = 1; break; /* maps host memory */
    case 36: *value = 1000000; break;
    case 37: *value = 128; break;
    case 38: *value = 4 << 20; break; /* second-level cache */
    case 39: *value = 1536; break;    /* threads of a multiprocessor */
    case 41: *value = 1; break;       /* one address space */
    case 75: *value = driver.set.arch / 10; break;
    case 76: *value = driver.set.arch % 10; break;
    case 81: *value = driver_shared_limit() + 1024; break;
    case 97: *value = driver_shared_limit(); break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

API CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    ENTER(START);
    if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    if (driver.lost) return driver.lost;
    *context = &driver.primaries[(size_t)device];
    (*context)->retained++;
    return CUDA_SUCCESS;
}

API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    ENTER(START);
    if (!is_device(device) || !driver.primaries[(size_t)device].retained) return CUDA_ERROR_INVALID_CONTEXT;
    driver.primaries[(size_t)device].retained--;
    return CUDA_SUCCESS;
}

API CUresult cuCtxPushCurrent_v2(CUcontext context) {
    ENTER(START);
    if (!is_context(context)) return CUDA_ERROR_INVALID_CONTEXT;
    current.push_back(context);
    return CUDA_SUCCESS;
}

API CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    ENTER(START);
    if (current.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (context) *context = current.back();
    current.pop_back();
    return CUDA_SUCCESS;
}

API CUresult cuCtxGetCurrent(CUcontext *context) {
    ENTER(START);
    *context = driver_context();
    return CUDA_SUCCESS;
}

API CUresult cuCtxSetCurrent(CUcontext context) {
    ENTER(START);
    if (context && !is_context(context)) return CUDA_ERROR_INVALID_CONTEXT;
    if (!current.empty()) current.pop_back();
    if (context) current.push_back(context);
    return CUDA_SUCCESS;
}

API CUresult cuCtxSynchronize() {
    ENTER(CONTEXT);
    return driver_drain_all();
}
