"""The functions of the CUDA driver that the stand-in has, as cffi wants them; structs of nodes in their version 1."""

from __future__ import annotations

import cffi

ffi = cffi.FFI()
ffi.cdef("""
typedef struct { void *func; unsigned grid[3], block[3], shared; void **params, **extra; } kernel_node;
typedef struct { size_t x, y, z, level; int type; void *host; uint64_t device; void *array, *context;
                 size_t pitch, height; } copy_end;
typedef struct { copy_end from, to; size_t width, height, depth; } copy_node;
typedef struct { unsigned char from_port, to_port, type, reserved[5]; } edge_data;
typedef struct { uint64_t to; size_t pitch; unsigned value, element; size_t width, height; } set_node;
int cuInit(unsigned);
int cuDriverGetVersion(int *);
int cuDeviceGetCount(int *);
int cuDeviceGet(int *, int);
int cuDeviceGetName(char *, int, int);
int cuDeviceGetAttribute(int *, int, int);
int cuDeviceTotalMem_v2(size_t *, int);
int cuGetErrorName(int, const char **);
int cuGetErrorString(int, const char **);
int cuDevicePrimaryCtxRetain(void **, int);
int cuDevicePrimaryCtxRelease_v2(int);
int cuCtxGetCurrent(void **);
int cuCtxSetCurrent(void *);
int cuCtxPushCurrent_v2(void *);
int cuCtxPopCurrent_v2(void **);
int cuCtxSynchronize(void);
int cuMemGetInfo_v2(size_t *, size_t *);
int cuMemAlloc_v2(uint64_t *, size_t);
int cuMemFree_v2(uint64_t);
int cuMemHostAlloc(void **, size_t, unsigned);
int cuMemFreeHost(void *);
int cuMemHostRegister_v2(void *, size_t, unsigned);
int cuMemHostUnregister(void *);
int cuMemHostGetDevicePointer_v2(uint64_t *, void *, unsigned);
int cuPointerGetAttribute(void *, int, uint64_t);
int cuPointerGetAttributes(unsigned, const int *, void **, uint64_t);
int cuMemcpyHtoD_v2(uint64_t, const void *, size_t);
int cuMemcpyDtoH_v2(void *, uint64_t, size_t);
int cuMemcpyHtoDAsync_v2(uint64_t, const void *, size_t, void *);
int cuMemcpyDtoHAsync_v2(void *, uint64_t, size_t, void *);
int cuMemcpyDtoDAsync_v2(uint64_t, uint64_t, size_t, void *);
int cuMemsetD8_v2(uint64_t, unsigned char, size_t);
int cuMemsetD8Async(uint64_t, unsigned char, size_t, void *);
int cuTensorMapEncodeTiled(void *, int, uint32_t, uint64_t, const uint64_t *, const uint64_t *, const uint32_t *,
                           const uint32_t *, int, int, int, int);
int cuModuleLoadData(void **, const void *);
int cuModuleUnload(void *);
int cuModuleGetFunction(void **, void *, const char *);
int cuFuncGetAttribute(int *, int, void *);
int cuFuncSetAttribute(void *, int, int);
int cuLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                   void **);
int cuStreamCreate(void **, unsigned);
int cuStreamCreateWithPriority(void **, unsigned, int);
int cuStreamDestroy_v2(void *);
int cuStreamQuery(void *);
int cuStreamSynchronize(void *);
int cuStreamWriteValue32_v2(void *, uint64_t, uint32_t, unsigned);
int cuEventCreate(void **, unsigned);
int cuEventDestroy_v2(void *);
int cuEventRecord(void *, void *);
int cuEventQuery(void *);
int cuEventSynchronize(void *);
int cuEventElapsedTime(float *, void *, void *);
int cuGraphCreate(void **, unsigned);
int cuGraphDestroy(void *);
int cuGraphAddKernelNode(void **, void *, void *const *, size_t, const kernel_node *);
int cuGraphAddMemcpyNode(void **, void *, void *const *, size_t, const copy_node *, void *);
int cuGraphAddMemsetNode(void **, void *, void *const *, size_t, const set_node *, void *);
int cuGraphAddEmptyNode(void **, void *, void *const *, size_t);
int cuGraphAddDependencies_v2(void *, void *const *, void *const *, const edge_data *, size_t);
int cuGraphInstantiateWithFlags(void **, void *, unsigned long long);
int cuGraphExecDestroy(void *);
int cuGraphExecKernelNodeSetParams(void *, void *, const kernel_node *);
int cuGraphExecMemcpyNodeSetParams(void *, void *, const copy_node *, void *);
int cuGraphNodeSetEnabled(void *, void *, unsigned);
int cuGraphUpload(void *, void *);
int cuGraphLaunch(void *, void *);
""")
