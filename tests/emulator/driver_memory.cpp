/* Memory of the device and of the host, and copies. */
#include "memory.h"

#include <string.h>

#include <memory>

#include "driver.h"

namespace {

enum { ALIGN = 256, PAGE = 4096 };
enum { MEMORY_TYPE = 2, DEVICE_POINTER = 3, HOST_POINTER = 4, DEVICE_ORDINAL = 9 }; /* CUpointer_attribute */
enum { TYPE_HOST = 1, TYPE_DEVICE = 2 };                                            /* CUmemorytype */

using span_kind = decltype(span::kind);

CUresult take(void **address, size_t size, span_kind kind) {
    if (!size) return CUDA_ERROR_INVALID_VALUE;
    if (kind == span::DEVICE && driver.taken + size > driver.set.memory) return CUDA_ERROR_OUT_OF_MEMORY;
    *address = ingot_emulator_allocate(size, kind == span::DEVICE ? ALIGN : PAGE);
    if (!*address) return CUDA_ERROR_OUT_OF_MEMORY;
    driver.spans[(uintptr_t)*address] = {size, driver_context()->device, kind};
    driver.taken += kind == span::DEVICE ? size : 0;
    return CUDA_SUCCESS;
}

/* Waits for whoever may still use it, as the driver does. */
CUresult give_back(void *address, span_kind kind) {
    const auto it = driver.spans.find((uintptr_t)address);
    if (it == driver.spans.end() || it->second.kind != kind) return CUDA_ERROR_INVALID_VALUE;
    const CUresult result = driver_drain_all();
    driver.damaged += !ingot_emulator_intact(address);
    driver.taken -= kind == span::DEVICE ? it->second.size : 0;
    ingot_emulator_free(address);
    driver.spans.erase(it);
    return result;
}

bool is_pinned(const void *p) {
    const auto it = driver_span(p);
    return it != driver.spans.end() && it->second.kind != span::DEVICE;
}

/* Host memory that is not pinned is read before the call returns, and written before it does. */
CUresult copy(side to_side, void *to, side from_side, const void *from, size_t size, CUstream stream) {
    if (!driver_is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
    if (!driver_on(to_side, to, size) || !driver_on(from_side, from, size)) return CUDA_ERROR_INVALID_VALUE;
    if (from_side == HOST && !is_pinned(from)) {
        const auto held = std::make_shared<std::vector<char>>((const char *)from, (const char *)from + size);
        return driver_queue(stream, [=]() -> const char * {
            memcpy(to, held->data(), size);
            return nullptr;
        });
    }
    const CUresult result = driver_queue(stream, [=]() -> const char * {
        memmove(to, from, size);
        return nullptr;
    });
    return !result && to_side == HOST && !is_pinned(to) ? driver_drain(stream) : result;
}

CUresult set(CUdeviceptr to, unsigned char value, size_t size, CUstream stream) {
    if (!driver_is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
    if (!driver_on(DEVICE, (void *)to, size)) return CUDA_ERROR_INVALID_VALUE;
    return driver_queue(stream, [=]() -> const char * {
        memset((void *)to, value, size);
        return nullptr;
    });
}

} // namespace

std::map<uintptr_t, span>::iterator driver_span(const void *p) {
    auto it = driver.spans.upper_bound((uintptr_t)p);
    if (it == driver.spans.begin()) return driver.spans.end();
    --it;
    return (uintptr_t)p - it->first < it->second.size ? it : driver.spans.end();
}

bool driver_on(side where, const void *p, size_t size) {
    const auto it = driver_span(p);
    if (it == driver.spans.end()) return where == HOST && p;
    const bool whole = (uintptr_t)p - it->first + size <= it->second.size;
    return whole && (where == HOST) == (it->second.kind != span::DEVICE);
}

API CUresult cuMemGetInfo_v2(size_t *left, size_t *total) {
    ENTER(CONTEXT);
    *total = driver.set.memory;
    *left = driver.set.memory - driver.taken;
    return CUDA_SUCCESS;
}

API CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size) {
    ENTER(CONTEXT);
    void *made = nullptr;
    const CUresult result = take(&made, size, span::DEVICE);
    if (!result) *address = (CUdeviceptr)made;
    return result;
}

API CUresult cuMemFree_v2(CUdeviceptr address) {
    ENTER(END);
    return address ? give_back((void *)address, span::DEVICE) : CUDA_SUCCESS;
}

API CUresult cuMemHostAlloc(void **address, size_t size, unsigned flags) {
    ENTER(CONTEXT);
    return flags & ~7u ? CUDA_ERROR_INVALID_VALUE : take(address, size, span::PINNED);
}

API CUresult cuMemFreeHost(void *address) {
    ENTER(END);
    return give_back(address, span::PINNED);
}

API CUresult cuMemHostRegister_v2(void *address, size_t size, unsigned flags) {
    ENTER(CONTEXT);
    if (!address || !size || flags & ~15u) return CUDA_ERROR_INVALID_VALUE;
    const auto behind = driver.spans.lower_bound((uintptr_t)address);
    if (driver_span(address) != driver.spans.end() ||
        (behind != driver.spans.end() && behind->first < (uintptr_t)address + size))
        return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    driver.spans[(uintptr_t)address] = {size, driver_context()->device, span::REGISTERED};
    return CUDA_SUCCESS;
}

API CUresult cuMemHostUnregister(void *address) {
    ENTER(END);
    const auto it = driver.spans.find((uintptr_t)address);
    if (it == driver.spans.end() || it->second.kind != span::REGISTERED) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    const CUresult result = driver_drain_all();
    driver.spans.erase(it);
    return result;
}

API CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *address, void *host, unsigned flags) {
    ENTER(CONTEXT);
    if (flags || !is_pinned(host)) return CUDA_ERROR_INVALID_VALUE;
    *address = (CUdeviceptr)host;
    return CUDA_SUCCESS;
}

/* Of what the driver does not know it says zeros. */
API CUresult cuPointerGetAttributes(unsigned count, const int *attributes, void **values, CUdeviceptr address) {
    ENTER(CONTEXT);
    const auto it = driver_span((const void *)address);
    const bool known = it != driver.spans.end(), device = known && it->second.kind == span::DEVICE;
    for (unsigned i = 0; i < count; i++) switch (attributes[i]) {
        case MEMORY_TYPE: *(unsigned *)values[i] = !known ? 0 : device ? TYPE_DEVICE : TYPE_HOST; break;
        case DEVICE_POINTER: *(CUdeviceptr *)values[i] = known ? address : 0; break;
        case HOST_POINTER: *(void **)values[i] = known && !device ? (void *)address : nullptr; break;
        case DEVICE_ORDINAL: *(int *)values[i] = known ? it->second.device : -2; break;
        default: return CUDA_ERROR_INVALID_VALUE;
        }
    return CUDA_SUCCESS;
}

API CUresult cuPointerGetAttribute(void *value, int attribute, CUdeviceptr address) {
    ENTER(CONTEXT);
    const auto it = driver_span((const void *)address);
    if (it == driver.spans.end()) return CUDA_ERROR_INVALID_VALUE;
    const bool device = it->second.kind == span::DEVICE;
    switch (attribute) {
    case MEMORY_TYPE: *(unsigned *)value = device ? TYPE_DEVICE : TYPE_HOST; break;
    case DEVICE_POINTER: *(CUdeviceptr *)value = address; break;
    case HOST_POINTER:
        if (device) return CUDA_ERROR_INVALID_VALUE;
        *(void **)value = (void *)address;
        break;
    case DEVICE_ORDINAL: *(int *)value = it->second.device; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, CUstream stream) {
    ENTER(CONTEXT);
    return copy(DEVICE, (void *)to, HOST, from, size, stream);
}

API CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, CUstream stream) {
    ENTER(CONTEXT);
    return copy(HOST, to, DEVICE, (const void *)from, size, stream);
}

API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
    ENTER(CONTEXT);
    return copy(DEVICE, (void *)to, DEVICE, (const void *)from, size, stream);
}

API CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t size, CUstream stream) {
    ENTER(CONTEXT);
    return set(to, value, size, stream);
}

/* Those without a stream are of the default one, and over when they return. */
API CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t size) {
    ENTER(CONTEXT);
    const CUresult result = copy(DEVICE, (void *)to, HOST, from, size, nullptr);
    return result ? result : driver_drain(nullptr);
}

API CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t size) {
    ENTER(CONTEXT);
    const CUresult result = copy(HOST, to, DEVICE, (const void *)from, size, nullptr);
    return result ? result : driver_drain(nullptr);
}

API CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t size) {
    ENTER(CONTEXT);
    const CUresult result = set(to, value, size, nullptr);
    return result ? result : driver_drain(nullptr);
}
