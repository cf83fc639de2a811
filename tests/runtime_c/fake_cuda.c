/* A CUDA driver that is none, for the runtime's tests: libcuda.so.1 with the functions that the runtime uses. Memory of
 * the device cannot be touched by the host, the device sees pinned memory at another address, work waits until somebody
 * asks for its end, and nodes of a graph run in any order that its edges allow. Kernels are the functions below. */
#include "fake_cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cuda/driver.h"
#include "cuda_call.h"

#define EXPORT __attribute__((visibility("default")))
enum { INVALID = 1, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700, MAX_NODES = 256, MAX_BLOCKS = 256, MAX_WORK = 256 };

EXPORT fake_cuda fake_cuda_state = {.version = 12060,
                                    .arch = 87,
                                    .multiprocessors = 8,
                                    .shared = 166912,
                                    .devices = 1,
                                    .memory = 1 << 20,
                                    .milliseconds = 0.25f};
#define S fake_cuda_state

/* Every function begins with CALL: it counts, and fails when it is its turn. */
static int called(const char *name) {
    S.calls++;
    if (S.calls != S.fail_at) return 0;
    S.failed = name;
    return S.error;
}
#define CALL                                                                                                           \
    do {                                                                                                               \
        const int error_ = called(__func__);                                                                           \
        if (error_) return error_;                                                                                     \
    } while (0)

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #condition);                              \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- memory ------------------------------------------------------------------------------------------------------ */

typedef enum kind { FREE, DEVICE, PINNED, REGISTERED } kind;
static struct block {
    kind kind;
    uint8_t *address;
    uint64_t size;
    int in_context; /* made by a call of the driver */
} blocks[MAX_BLOCKS];
static uint64_t used;
static const uint64_t VIEW =
    (uint64_t)1 << 60; /* pinned memory, as the device sees it, is so far from the host's view */

static struct block *block_of(uint64_t address) {
    for (int i = 0; i < MAX_BLOCKS; i++) {
        const uint64_t at = (uint64_t)(uintptr_t)blocks[i].address;
        if (blocks[i].kind && address >= at && address < at + blocks[i].size) return &blocks[i];
    }
    return NULL;
}

static uint64_t pages(uint64_t size) { return (size + 4095) / 4096 * 4096; }

static void *add(kind kind, void *address, uint64_t size) {
    for (int i = 0; i < MAX_BLOCKS; i++)
        if (!blocks[i].kind) {
            blocks[i] = (struct block){kind, address, size, kind == PINNED};
            S.alive++;
            return address;
        }
    abort();
}

static void drop(void *address, kind kind) {
    struct block *b = block_of((uint64_t)(uintptr_t)address);
    REQUIRE(b && b->kind == kind && b->address == address);
    b->kind = FREE;
    b->in_context = 0;
    S.alive--;
}

/* The host's address of what the device sees there, which is `size` bytes of one block. Device memory opens. */
static uint8_t *reach(uint64_t address, uint64_t size) {
    struct block *b = block_of(address < VIEW ? address : address - VIEW);
    REQUIRE(b && (address >= VIEW) == (b->kind != DEVICE));
    uint8_t *at = (uint8_t *)(uintptr_t)(address < VIEW ? address : address - VIEW);
    REQUIRE(at + size <= b->address + b->size);
    if (b->kind == DEVICE) REQUIRE(mprotect(b->address, pages(b->size), PROT_READ | PROT_WRITE) == 0);
    return at;
}

static void close_device(void) {
    for (int i = 0; i < MAX_BLOCKS; i++)
        if (blocks[i].kind == DEVICE) REQUIRE(mprotect(blocks[i].address, pages(blocks[i].size), PROT_NONE) == 0);
}

EXPORT void *fake_cuda_allocate(uint64_t size) {
    void *at = mmap(NULL, pages(size), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(at != MAP_FAILED);
    used += size;
    return add(DEVICE, at, size);
}

EXPORT void fake_cuda_free(void *address) {
    struct block *b = block_of((uint64_t)(uintptr_t)address);
    REQUIRE(b);
    used -= b->size;
    munmap(address, pages(b->size));
    drop(address, DEVICE);
}

EXPORT void fake_cuda_write(void *device, const void *from, uint64_t size) {
    memcpy(reach((uint64_t)(uintptr_t)device, size), from, size);
    close_device();
}

EXPORT void fake_cuda_read(void *to, const void *device, uint64_t size) {
    memcpy(to, reach((uint64_t)(uintptr_t)device, size), size);
    close_device();
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size) {
    CALL;
    REQUIRE(S.current);
    if (used + size > S.memory) return CUDA_ERROR_OUT_OF_MEMORY;
    *address = (CUdeviceptr)(uintptr_t)fake_cuda_allocate(size);
    block_of(*address)->in_context = 1;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
    fake_cuda_free((void *)(uintptr_t)address);
    CALL;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
    CALL;
    *free = S.memory - used;
    *total = S.memory;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemHostAlloc(void **address, size_t size, unsigned flags) {
    CALL;
    REQUIRE(S.current && flags & CU_MEMHOSTALLOC_DEVICEMAP);
    *address = add(PINNED, aligned_alloc(4096, pages(size)), size);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemFreeHost(void *address) {
    drop(address, PINNED);
    free(address);
    CALL;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemHostRegister_v2(void *address, size_t size, unsigned flags) {
    CALL;
    REQUIRE(S.current && flags & CU_MEMHOSTALLOC_DEVICEMAP && !block_of((uint64_t)(uintptr_t)address));
    add(REGISTERED, address, size);
    S.registered++;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemHostUnregister(void *address) {
    drop(address, REGISTERED);
    CALL;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *address, void *host, unsigned flags) {
    CALL;
    const struct block *b = block_of((uint64_t)(uintptr_t)host);
    if (!b || b->kind == DEVICE || flags) return INVALID;
    *address = (CUdeviceptr)(uintptr_t)host + VIEW;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuPointerGetAttributes(unsigned count, const int *attributes, void **values, CUdeviceptr address) {
    CALL;
    const struct block *b = block_of(address);
    for (unsigned i = 0; i < count; i++)
        if (attributes[i] == CU_POINTER_MEMORY_TYPE)
            *(unsigned *)values[i] = !b ? 0 : b->kind == DEVICE ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
        else if (attributes[i] == CU_POINTER_DEVICE_POINTER)
            *(CUdeviceptr *)values[i] = !b ? 0 : b->kind == DEVICE ? address : address + VIEW;
        else
            *(int *)values[i] = b ? 0 : -2;
    return CUDA_SUCCESS;
}

/* ---- the machine ------------------------------------------------------------------------------------------------- */

EXPORT CUresult cuInit(unsigned flags) { return flags ? INVALID : called(__func__); }
EXPORT CUresult cuDriverGetVersion(int *version) {
    CALL;
    *version = S.version;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGetErrorName(CUresult error, const char **name) {
    *name = error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
            : error == ILLEGAL_ADDRESS        ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                                              : "CUDA_ERROR_OTHER";
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetCount(int *count) {
    CALL;
    *count = S.devices;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    CALL;
    *device = ordinal;
    return ordinal < S.devices ? CUDA_SUCCESS : INVALID;
}
EXPORT CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
    CALL;
    snprintf(name, (size_t)size, "Fake %d", device);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
    CALL;
    (void)device;
    switch (attribute) {
    case CU_ATTRIBUTE_CLOCK_RATE: *value = 1000000; break;
    case CU_ATTRIBUTE_L2_BYTES: *value = 1 << 16; break;
    case CU_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = S.multiprocessors; break;
    case CU_ATTRIBUTE_INTEGRATED: *value = S.integrated; break;
    case CU_ATTRIBUTE_MAJOR: *value = S.arch / 10; break;
    case CU_ATTRIBUTE_MINOR: *value = S.arch % 10; break;
    case CU_ATTRIBUTE_MAX_SHARED_OPTIN: *value = S.shared; break;
    default: return INVALID;
    }
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    CALL;
    (void)device;
    *bytes = S.memory;
    return CUDA_SUCCESS;
}

/* Objects remember nothing but that they exist. They lie in the primary context and end with it. */
enum { MAX_OBJECTS = 256 };
static void *objects[MAX_OBJECTS];
static long retained;

static void *keep(void *object) {
    for (int i = 0; i < MAX_OBJECTS; i++)
        if (!objects[i]) {
            objects[i] = object;
            S.alive++;
            return object;
        }
    abort();
}
static void *object(void) { return keep(calloc(1, 1)); }
static void end(void *object) {
    for (int i = 0; i < MAX_OBJECTS; i++)
        if (objects[i] == object) {
            objects[i] = NULL;
            S.alive--;
            free(object);
            return;
        }
    abort();
}
static void end_context(void) {
    for (int i = 0; i < MAX_OBJECTS; i++)
        if (objects[i]) end(objects[i]);
    for (int i = 0; i < MAX_BLOCKS; i++) {
        if (!blocks[i].in_context) continue;
        if (blocks[i].kind == DEVICE) fake_cuda_free(blocks[i].address);
        if (blocks[i].kind == PINNED) {
            free(blocks[i].address);
            drop(blocks[i].address, PINNED);
        }
    }
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    CALL;
    (void)device;
    S.alive++;
    retained++;
    *context = (CUcontext)&S;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    (void)device;
    S.alive--;
    if (--retained == 0) end_context();
    CALL;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context) {
    CALL;
    REQUIRE(context == (CUcontext)&S);
    S.current++;
    S.pushes++;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    REQUIRE(S.current > 0);
    S.current--;
    S.pops++;
    *context = NULL;
    CALL;
    return CUDA_SUCCESS;
}

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

typedef struct function {
    const char *name;
    uint32_t operands;
    int shared;
} function;
static function functions[] = {{"mul", 3, 0}, {"add", 3, 0}, {"relu", 2, 0}, {"neg", 2, 0}, {"gather", 3, 0}};

static void compute(const function *f, const uint8_t *call) {
    const ingot_cuda_arg *arg = (const ingot_cuda_arg *)(const void *)call;
    const ingot_cuda_tail *tail = (const ingot_cuda_tail *)(const void *)(arg + f->operands);
    const uint32_t n = (uint32_t)arg[f->operands - 1].dims[0];
    float *in[3] = {0}, result[64];
    for (uint32_t i = 0; i < f->operands; i++)
        in[i] = (float *)(void *)reach((uint64_t)(uintptr_t)arg[i].data,
                                       (uint64_t)arg[i].dims[0] * (arg[i].dtype == INGOT_I64 ? 8 : 4));
    /* Products have three counters, which differ from step to step, since each is its own; the others have none. */
    REQUIRE(tail->counter_count == (f->name[0] == 'm' ? 3 : 0) && !tail->counters == !tail->counter_count);
    for (uint32_t i = 0; i < tail->counter_count; i++) {
        uint32_t *counter = (uint32_t *)(void *)reach((uint64_t)(uintptr_t)(tail->counters + i), 4);
        REQUIRE(*counter == 0 || *counter == tail->step);
        *counter = tail->step;
    }
    REQUIRE(n <= 64 && arg[0].rank == 1 && arg[0].pitch == arg[0].dims[0] && arg[0].dims[1] == 1);
    for (uint32_t i = 0; i < n; i++) {
        if (f->name[0] == 'g') {
            int64_t at = ((const int64_t *)(const void *)in[1])[i];
            if (at < 0 || at >= arg[0].dims[0])
                *(uint32_t *)(void *)reach((uint64_t)(uintptr_t)tail->status, 4) = tail->step;
            else
                result[i] = in[0][at];
        } else {
            result[i] = f->name[0] == 'm'   ? in[0][i] * in[1][i]
                        : f->name[0] == 'a' ? in[0][i] + in[1][i]
                        : f->name[0] == 'n' ? -in[0][i]
                        : in[0][i] > 0      ? in[0][i]
                                            : 0;
        }
    }
    memcpy(in[f->operands - 1], result, n * sizeof *result);
}

EXPORT CUresult cuModuleLoadData(CUmodule *module, const void *image) {
    CALL;
    if (memcmp(image, "FAKE", 4) != 0) return INVALID;
    *module = object();
    return CUDA_SUCCESS;
}
EXPORT CUresult cuModuleUnload(CUmodule module) {
    end(module);
    CALL;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuModuleGetFunction(CUfunction *found, CUmodule module, const char *name) {
    CALL;
    REQUIRE(module);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (strcmp(functions[i].name, name) == 0) {
            *found = (CUfunction)&functions[i];
            return CUDA_SUCCESS;
        }
    return NOT_FOUND;
}
EXPORT CUresult cuFuncGetAttribute(int *value, int attribute, CUfunction f) {
    CALL;
    REQUIRE(attribute == CU_FUNC_MAX_DYNAMIC_SHARED);
    *value = ((function *)f)->shared;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuFuncSetAttribute(CUfunction f, int attribute, int value) {
    CALL;
    REQUIRE(attribute == CU_FUNC_MAX_DYNAMIC_SHARED);
    ((function *)f)->shared = value;
    return CUDA_SUCCESS;
}

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

typedef struct node {
    const function *function; /* NULL: a copy */
    uint8_t call[512];
    CUDA_MEMCPY3D copy;
    uint32_t after[MAX_NODES], count;
} node;
typedef struct graph {
    node nodes[MAX_NODES];
    uint32_t count;
} graph;

static size_t call_size(const function *f) {
    /* The parameters are copied by what the largest of the kernels has; they lie in one block of the context. */
    return (f->operands * sizeof(ingot_cuda_arg) + sizeof(ingot_cuda_tail) + 15) / 16 * 16 + 16;
}

static void set_kernel(node *n, const CUDA_KERNEL_NODE_PARAMS *p) {
    n->function = (const function *)p->func;
    REQUIRE(p->grid[0] == 2 && p->block[0] == 32 && (int)p->shared_bytes <= n->function->shared && !p->extra);
    memcpy(n->call, p->params[0], call_size(n->function));
}

static void copy_now(const CUDA_MEMCPY3D *c) {
    const uint64_t size = c->width_bytes;
    REQUIRE(c->height == 1 && c->depth == 1 && c->from.memory_type != c->to.memory_type);
    const int to_device = c->to.memory_type == CU_MEMORYTYPE_DEVICE;
    uint8_t *device = reach(to_device ? c->to.device : c->from.device, size);
    uint8_t *host = to_device ? c->from.host : c->to.host;
    const struct block *b = block_of((uint64_t)(uintptr_t)host);
    REQUIRE(b && b->kind != DEVICE && host + size <= b->address + b->size);
    memcpy(to_device ? device : host, to_device ? host : device, size);
    S.copies++;
}

/* In an order that the edges allow, another one every time. */
static void run_graph(const graph *g) {
    static uint32_t random = 1;
    uint8_t done[MAX_NODES] = {0};
    for (uint32_t left = g->count; left; left--) {
        uint32_t ready[MAX_NODES], count = 0;
        for (uint32_t i = 0; i < g->count; i++) {
            int waits = done[i];
            for (uint32_t k = 0; k < g->nodes[i].count; k++) waits |= !done[g->nodes[i].after[k]];
            if (!waits) ready[count++] = i;
        }
        REQUIRE(count);
        random = random * 1664525 + 1013904223;
        const uint32_t i = ready[(random >> 16) % count];
        if (g->nodes[i].function)
            compute(g->nodes[i].function, g->nodes[i].call);
        else
            copy_now(&g->nodes[i].copy);
        done[i] = 1;
    }
}

static CUresult add_node(CUgraphNode *made, CUgraph to, const CUgraphNode *after, size_t count) {
    graph *g = (graph *)to;
    node *n = &g->nodes[g->count];
    REQUIRE(g->count < MAX_NODES && count < MAX_NODES);
    memset(n, 0, sizeof *n);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++)
            if (after[j] == after[i]) return INVALID; /* as the real one does */
        n->after[n->count++] = (uint32_t)(uintptr_t)after[i] - 1;
        REQUIRE(n->after[n->count - 1] < g->count);
    }
    g->count++;
    *made = (CUgraphNode)(uintptr_t)g->count;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphCreate(CUgraph *made, unsigned flags) {
    CALL;
    REQUIRE(!flags);
    *made = keep(calloc(1, sizeof(graph)));
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphDestroy(CUgraph g) {
    end(g);
    CALL;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphAddKernelNode(CUgraphNode *made, CUgraph g, const CUgraphNode *after, size_t count,
                                     const CUDA_KERNEL_NODE_PARAMS *params) {
    CALL;
    CUresult result = add_node(made, g, after, count);
    if (!result) set_kernel(&((graph *)g)->nodes[(uintptr_t)*made - 1], params);
    return result;
}
EXPORT CUresult cuGraphAddMemcpyNode(CUgraphNode *made, CUgraph g, const CUgraphNode *after, size_t count,
                                     const CUDA_MEMCPY3D *copy, CUcontext context) {
    CALL;
    REQUIRE(context == (CUcontext)&S);
    CUresult result = add_node(made, g, after, count);
    if (!result) ((graph *)g)->nodes[(uintptr_t)*made - 1].copy = *copy;
    return result;
}
EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph g, unsigned long long flags) {
    CALL;
    REQUIRE(!flags);
    graph *copy = malloc(sizeof *copy);
    memcpy(copy, g, sizeof *copy);
    *executable = keep(copy);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphExecDestroy(CUgraphExec executable) {
    end(executable);
    CALL;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphExecKernelNodeSetParams(CUgraphExec executable, CUgraphNode n,
                                               const CUDA_KERNEL_NODE_PARAMS *params) {
    CALL;
    S.updates++;
    set_kernel(&((graph *)executable)->nodes[(uintptr_t)n - 1], params);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec executable, CUgraphNode n, const CUDA_MEMCPY3D *copy,
                                               CUcontext context) {
    CALL;
    CUDA_MEMCPY3D *own = &((graph *)executable)->nodes[(uintptr_t)n - 1].copy;
    REQUIRE(context == (CUcontext)&S && own->from.memory_type == copy->from.memory_type &&
            own->to.memory_type == copy->to.memory_type);
    S.updates++;
    *own = *copy;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphUpload(CUgraphExec executable, CUstream stream) {
    CALL;
    REQUIRE(executable && stream);
    return CUDA_SUCCESS;
}

/* ---- streams: work waits, a kernel that failed loses the device
 * ------------------------------------------------------ */

static struct {
    const graph *graph;
    node single;
    int has_single;
} work[MAX_WORK];
static uint32_t work_count, asked;
EXPORT int fake_cuda_lose; /* the next work fails, and all that follows */

static CUresult do_work(void) {
    if (fake_cuda_lose) {
        work_count = 0;
        return ILLEGAL_ADDRESS;
    }
    for (uint32_t i = 0; i < work_count; i++) {
        if (work[i].has_single)
            compute(work[i].single.function, work[i].single.call);
        else
            run_graph(work[i].graph);
        close_device();
    }
    work_count = 0;
    return CUDA_SUCCESS;
}

/* Not ready at first. */
static CUresult ask(void) {
    S.queries++;
    if (work_count && (S.slow || asked++ % 3 != 2)) return CUDA_ERROR_NOT_READY;
    return do_work();
}

EXPORT CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    CALL;
    (void)stream;
    REQUIRE(S.current && work_count < MAX_WORK);
    S.launches++;
    work[work_count].has_single = 0;
    work[work_count++].graph = (const graph *)executable;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                               unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream,
                               void **params, void **extra) {
    CALL;
    REQUIRE(stream && work_count < MAX_WORK);
    const CUDA_KERNEL_NODE_PARAMS kernel = {
        f, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes, params, extra};
    work[work_count].has_single = 1;
    set_kernel(&work[work_count++].single, &kernel);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
    CALL;
    REQUIRE(flags == CU_STREAM_NON_BLOCKING);
    *stream = object();
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
    end(stream);
    CALL;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamQuery(CUstream stream) {
    CALL;
    REQUIRE(stream);
    return ask();
}
EXPORT CUresult cuStreamSynchronize(CUstream stream) {
    CALL;
    REQUIRE(stream);
    S.synchronisations++;
    return do_work();
}
EXPORT CUresult cuEventCreate(CUevent *event, unsigned flags) {
    CALL;
    (void)flags;
    *event = object();
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventDestroy_v2(CUevent event) {
    end(event);
    CALL;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
    CALL;
    (void)stream;
    REQUIRE(event);
    S.records++;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventQuery(CUevent event) {
    CALL;
    REQUIRE(event);
    return ask();
}
EXPORT CUresult cuEventSynchronize(CUevent event) {
    CALL;
    REQUIRE(event);
    S.synchronisations++;
    return do_work();
}
EXPORT CUresult cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to) {
    CALL;
    REQUIRE(from && to && !work_count);
    *milliseconds = S.milliseconds;
    return CUDA_SUCCESS;
}

/* Behind the work before; at once, which the real one may do as well. */
EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, CUstream stream) {
    CALL;
    REQUIRE(stream);
    CUresult result = do_work();
    if (!result) memcpy(reach(to, size), from, size);
    close_device();
    return result;
}
EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, CUstream stream) {
    CALL;
    REQUIRE(stream);
    CUresult result = do_work();
    if (!result) memcpy(to, reach(from, size), size);
    close_device();
    return result;
}
EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
    CALL;
    REQUIRE(stream);
    CUresult result = do_work();
    if (!result) memcpy(reach(to, size), reach(from, size), size);
    close_device();
    return result;
}
EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t size, CUstream stream) {
    CALL;
    REQUIRE(stream);
    memset(reach(to, size), value, size);
    close_device();
    return CUDA_SUCCESS;
}
