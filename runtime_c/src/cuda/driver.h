/* The CUDA driver, reached by loading libcuda.so.1 at run time: its functions in a table, its types as far as they are
 * used. Written after the public documentation of the driver API; no header of CUDA is needed.
 *
 * All but what is marked as optional is in the driver of CUDA 11.4 (Jetson, 2021) and in all later ones, which keep the
 * older symbols. */
#ifndef INGOT_CUDA_DRIVER_H
#define INGOT_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "internal.h"

typedef int CUresult;
typedef int CUdevice;
typedef uint64_t CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUgraphExec_st *CUgraphExec;

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NOT_READY = 600,
    CUDA_ERROR_NOT_SUPPORTED = 801,
};

enum {                               /* CUdevice_attribute */
       CU_ATTRIBUTE_CLOCK_RATE = 13, /* kHz, the most */
       CU_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
       CU_ATTRIBUTE_INTEGRATED = 18,
       CU_ATTRIBUTE_L2_BYTES = 38,
       CU_ATTRIBUTE_MAJOR = 75,
       CU_ATTRIBUTE_MINOR = 76,
       CU_ATTRIBUTE_MAX_SHARED_OPTIN = 97, /* bytes of shared memory that a block may ask for */
};

enum { /* CUpointer_attribute */
       CU_POINTER_MEMORY_TYPE = 2,
       CU_POINTER_DEVICE_POINTER = 3,
       CU_POINTER_DEVICE_ORDINAL = 9,
};

enum { CU_MEMORYTYPE_HOST = 1, CU_MEMORYTYPE_DEVICE = 2 };
enum { CU_MEMHOSTALLOC_PORTABLE = 1, CU_MEMHOSTALLOC_DEVICEMAP = 2 }; /* the same bits for cuMemHostRegister */
enum { CU_STREAM_NON_BLOCKING = 1 };
enum { CU_EVENT_DEFAULT = 0, CU_EVENT_BLOCKING_SYNC = 1, CU_EVENT_DISABLE_TIMING = 2 };
enum { CU_FUNC_MAX_DYNAMIC_SHARED = 8 }; /* CUfunction_attribute */

enum { CU_TENSOR_MAP_UINT8 = 0, CU_TENSOR_MAP_UINT16 = 1, CU_TENSOR_MAP_UINT32 = 2 };
enum { CU_TENSOR_MAP_SWIZZLE_128 = 3, CU_TENSOR_MAP_PROMOTION_256 = 3 }; /* of what an access brings into the cache */

typedef struct CUDA_KERNEL_NODE_PARAMS { /* version 1 */
    CUfunction func;
    unsigned grid[3];
    unsigned block[3];
    unsigned shared_bytes;
    void **params;
    void **extra;
} CUDA_KERNEL_NODE_PARAMS;

typedef struct CUDA_MEMCPY3D_END { /* where a copy comes from or goes to */
    size_t x_bytes, y, z, lod;
    int memory_type;
    void *host;
    CUdeviceptr device;
    void *array;
    void *reserved;
    size_t pitch, height;
} CUDA_MEMCPY3D_END;

typedef struct CUDA_MEMCPY3D { /* version 2: cuGraphAddMemcpyNode takes this one */
    CUDA_MEMCPY3D_END from, to;
    size_t width_bytes, height, depth;
} CUDA_MEMCPY3D;

enum { CU_PORT_PROGRAMMATIC = 1, CU_DEPENDENCY_PROGRAMMATIC = 1 };

typedef struct CUgraphEdgeData { /* all zero: the node waits for the end of the other */
    unsigned char from_port; /* of a kernel node; PROGRAMMATIC: all blocks have let those behind them start, or ended */
    unsigned char to_port;   /* 0 */
    unsigned char type;      /* PROGRAMMATIC: a kernel that waits itself for what the other one writes */
    unsigned char reserved[5];
} CUgraphEdgeData;

_Static_assert(sizeof(void *) == 8, "the driver's structs as they are with 64-bit pointers");
_Static_assert(sizeof(CUDA_KERNEL_NODE_PARAMS) == 56, "CUDA_KERNEL_NODE_PARAMS");
_Static_assert(sizeof(CUDA_MEMCPY3D) == 200, "CUDA_MEMCPY3D");
_Static_assert(sizeof(CUgraphEdgeData) == 8, "CUgraphEdgeData");

/* name without its version, version of the symbol, arguments */
#define INGOT_CUDA_FUNCTIONS(F)                                                                                        \
    F(cuInit, , (unsigned flags))                                                                                      \
    F(cuDriverGetVersion, , (int *version))                                                                            \
    F(cuGetErrorName, , (CUresult error, const char **name))                                                           \
    F(cuDeviceGetCount, , (int *count))                                                                                \
    F(cuDeviceGet, , (CUdevice * device, int ordinal))                                                                 \
    F(cuDeviceGetName, , (char *name, int size, CUdevice device))                                                      \
    F(cuDeviceGetAttribute, , (int *value, int attribute, CUdevice device))                                            \
    F(cuDeviceTotalMem, _v2, (size_t * bytes, CUdevice device))                                                        \
    F(cuDevicePrimaryCtxRetain, , (CUcontext * context, CUdevice device))                                              \
    F(cuDevicePrimaryCtxRelease, _v2, (CUdevice device))                                                               \
    F(cuCtxPushCurrent, _v2, (CUcontext context))                                                                      \
    F(cuCtxPopCurrent, _v2, (CUcontext * context))                                                                     \
    F(cuMemGetInfo, _v2, (size_t * free, size_t * total))                                                              \
    F(cuMemAlloc, _v2, (CUdeviceptr * address, size_t size))                                                           \
    F(cuMemFree, _v2, (CUdeviceptr address))                                                                           \
    F(cuMemHostAlloc, , (void **address, size_t size, unsigned flags))                                                 \
    F(cuMemFreeHost, , (void *address))                                                                                \
    F(cuMemHostRegister, _v2, (void *address, size_t size, unsigned flags))                                            \
    F(cuMemHostUnregister, , (void *address))                                                                          \
    F(cuMemHostGetDevicePointer, _v2, (CUdeviceptr * address, void *host, unsigned flags))                             \
    F(cuPointerGetAttributes, , (unsigned count, const int *attributes, void **values, CUdeviceptr address))           \
    F(cuMemcpyHtoDAsync, _v2, (CUdeviceptr to, const void *from, size_t size, CUstream stream))                        \
    F(cuMemcpyDtoHAsync, _v2, (void *to, CUdeviceptr from, size_t size, CUstream stream))                              \
    F(cuMemcpyDtoDAsync, _v2, (CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream))                        \
    F(cuMemsetD8Async, , (CUdeviceptr to, unsigned char value, size_t size, CUstream stream))                          \
    F(cuModuleLoadData, , (CUmodule * module, const void *image))                                                      \
    F(cuModuleUnload, , (CUmodule module))                                                                             \
    F(cuModuleGetFunction, , (CUfunction * function, CUmodule module, const char *name))                               \
    F(cuFuncGetAttribute, , (int *value, int attribute, CUfunction function))                                          \
    F(cuFuncSetAttribute, , (CUfunction function, int attribute, int value))                                           \
    F(cuLaunchKernel, ,                                                                                                \
      (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,     \
       unsigned block_z, unsigned shared_bytes, CUstream stream, void **params, void **extra))                         \
    F(cuStreamCreate, , (CUstream * stream, unsigned flags))                                                           \
    F(cuStreamDestroy, _v2, (CUstream stream))                                                                         \
    F(cuStreamQuery, , (CUstream stream))                                                                              \
    F(cuStreamSynchronize, , (CUstream stream))                                                                        \
    F(cuEventCreate, , (CUevent * event, unsigned flags))                                                              \
    F(cuEventDestroy, _v2, (CUevent event))                                                                            \
    F(cuEventRecord, , (CUevent event, CUstream stream))                                                               \
    F(cuEventQuery, , (CUevent event))                                                                                 \
    F(cuEventSynchronize, , (CUevent event))                                                                           \
    F(cuEventElapsedTime, , (float *milliseconds, CUevent from, CUevent to))                                           \
    F(cuGraphCreate, , (CUgraph * graph, unsigned flags))                                                              \
    F(cuGraphDestroy, , (CUgraph graph))                                                                               \
    F(cuGraphAddKernelNode, ,                                                                                          \
      (CUgraphNode * node, CUgraph graph, const CUgraphNode *after, size_t count,                                      \
       const CUDA_KERNEL_NODE_PARAMS *params))                                                                         \
    F(cuGraphAddMemcpyNode, ,                                                                                          \
      (CUgraphNode * node, CUgraph graph, const CUgraphNode *after, size_t count, const CUDA_MEMCPY3D *copy,           \
       CUcontext context))                                                                                             \
    F(cuGraphInstantiateWithFlags, , (CUgraphExec * executable, CUgraph graph, unsigned long long flags))              \
    F(cuGraphExecDestroy, , (CUgraphExec executable))                                                                  \
    F(cuGraphExecKernelNodeSetParams, ,                                                                                \
      (CUgraphExec executable, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params))                               \
    F(cuGraphExecMemcpyNodeSetParams, ,                                                                                \
      (CUgraphExec executable, CUgraphNode node, const CUDA_MEMCPY3D *copy, CUcontext context))                        \
    F(cuGraphUpload, , (CUgraphExec executable, CUstream stream))                                                      \
    F(cuGraphLaunch, , (CUgraphExec executable, CUstream stream))

/* The same; NULL where the driver has none of it. Edges with data: CUDA 12.3; tensor maps: 12.0; the second version of
 * writes: 11.7; nodes that are switched off: 11.6. */
#define INGOT_CUDA_OPTIONAL(F)                                                                                         \
    F(cuGraphAddDependencies, _v2,                                                                                     \
      (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, const CUgraphEdgeData *data, size_t count))      \
    F(cuGraphNodeSetEnabled, , (CUgraphExec executable, CUgraphNode node, unsigned enabled))                           \
    F(cuStreamWriteValue32, _v2, (CUstream stream, CUdeviceptr address, uint32_t value, unsigned flags))               \
    F(cuTensorMapEncodeTiled, ,                                                                                        \
      (void *map, int type, uint32_t rank, void *address, const uint64_t *extents, const uint64_t *strides,            \
       const uint32_t *box, const uint32_t *steps, int interleave, int swizzle, int promotion, int fill))

typedef struct ingot_driver {
#define INGOT_CUDA_MEMBER(name, version, arguments) CUresult(*name) arguments;
    INGOT_CUDA_FUNCTIONS(INGOT_CUDA_MEMBER)
    INGOT_CUDA_OPTIONAL(INGOT_CUDA_MEMBER)
#undef INGOT_CUDA_MEMBER
    int version; /* 1000 * major + 10 * minor of the newest CUDA it knows */
} ingot_driver;

/* The driver, loaded and initialised by the first call; it stays for good. NULL with INGOT_ERR_NO_VARIANT in `error`,
 * which says what is missing: the library, a function of it, or a device. */
const ingot_driver *ingot_driver_get(ingot_error *error);

/* A call failed: INGOT_ERR_MEMORY when the device is out of memory, else INGOT_ERR_DEVICE. `what` is the function, and
 * `step` the name of the step it was for, or NULL. */
ingot_status ingot_driver_fail(const ingot_driver *driver, CUresult result, const char *what, const char *step,
                               ingot_error *error);

#endif
