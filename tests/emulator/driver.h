/* A stand-in for libcuda.so.1: the driver's functions over the emulator. What its files share.
 *
 * Unkind where the documentation leaves room: work of a stream runs when somebody waits or asks, never before; nodes of
 * a graph run in an order that the seed decides, bounded by its edges alone; device memory is poisoned and ends at
 * forbidden pages; whatever a real driver refuses is refused, and calls can be made to fail (driver_control.h). Device
 * memory can be read by the host, which a real one does not allow, but copies check on which side an address lies. */
#ifndef INGOT_EMULATOR_DRIVER_H
#define INGOT_EMULATOR_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "machine.h"
#include "random.h"

#define API extern "C" __attribute__((visibility("default")))

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = uint64_t;

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_INVALID_IMAGE = 200,
    CUDA_ERROR_INVALID_CONTEXT = 201,
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CUDA_ERROR_INVALID_HANDLE = 400,
    CUDA_ERROR_NOT_FOUND = 500,
    CUDA_ERROR_NOT_READY = 600,
    CUDA_ERROR_ILLEGAL_ADDRESS = 700,
    CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED = 712,
    CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED = 713,
    CUDA_ERROR_LAUNCH_FAILED = 719,
    CUDA_ERROR_NOT_SUPPORTED = 801,
};

/* -- what there is ---------------------------------------------------------------------------------------------------
 */

struct CUctx_st {
    CUdevice device;
    int retained;
};

struct CUmod_st {
    void *loaded;
};

struct CUfunc_st {
    CUmod_st *module;
    const ingot_emulated_kernel *kernel;
    int dynamic_shared; /* that a launch may ask for */
};

/* Something for the device to do: a reason when it goes wrong. */
using work = std::function<const char *()>;

struct CUevent_st {
    bool timed;
    uint64_t recorded, reached; /* records that were asked for, and that ran */
    double at;                  /* milliseconds */
};

struct CUstream_st {
    std::list<work> queue;
    bool waits_for_default; /* created without CU_STREAM_NON_BLOCKING */
};

struct CUgraphNode_st {
    enum { KERNEL, COPY, SET, EMPTY } kind;
    std::vector<CUgraphNode_st *> after;
    work what;
    int from, to; /* memory types of a copy */
};

/* How one node waits for another; all zero: for its end. */
struct CUgraphEdgeData {
    unsigned char from_port, to_port, type, reserved[5];
};

struct CUgraph_st {
    std::vector<CUgraphNode_st *> nodes;
};

struct CUgraphExec_st {
    struct node {
        CUgraphNode_st *original;
        std::vector<size_t> after;
        work what;
        bool enabled;
        decltype(CUgraphNode_st::kind) kind;
        int from, to;
    };
    std::vector<node> nodes;
};

using CUcontext = CUctx_st *;
using CUmodule = CUmod_st *;
using CUfunction = CUfunc_st *;
using CUevent = CUevent_st *;
using CUstream = CUstream_st *;
using CUgraphNode = CUgraphNode_st *;
using CUgraph = CUgraph_st *;
using CUgraphExec = CUgraphExec_st *;

/* Objects of one kind that were made and not destroyed. */
template <class T> class registry {
  public:
    T *add(T *object) {
        objects.push_back(object);
        return object;
    }
    bool has(const T *object) const { return std::find(begin(), end(), object) != end(); }
    void remove(T *object) {
        objects.erase(std::find(objects.begin(), objects.end(), object));
        delete object;
    }
    size_t size() const { return objects.size(); }
    auto begin() const { return objects.begin(); }
    auto end() const { return objects.end(); }

  private:
    std::vector<T *> objects; /* in the order in which they were made: addresses differ from run to run */
};

/* Bytes that the driver knows. */
struct span {
    size_t size;
    CUdevice device;
    enum { DEVICE, PINNED, REGISTERED } kind;
};

/* What the devices are, and what the tests may change. */
struct settings {
    int devices, arch, multiprocessors, integrated, version;
    uint64_t memory, seed;
    std::string name;
};

struct driver_state {
    std::recursive_mutex lock;
    settings set;
    bool started;
    CUresult lost; /* what every call answers once a kernel has failed */
    std::string reason;
    random_bits chance;

    std::vector<CUctx_st> primaries; /* by device */
    registry<CUmod_st> modules;
    registry<CUfunc_st> functions;
    registry<CUstream_st> streams;
    registry<CUevent_st> events;
    registry<CUgraph_st> graphs;
    registry<CUgraphExec_st> executables;
    std::map<uintptr_t, span> spans; /* by address */
    uint64_t taken;                  /* bytes of device memory */
    uint64_t damaged;                /* allocations around which somebody wrote, found when they were freed */

    std::map<std::string, uint64_t> calls;
    uint64_t kernels, blocks, threads; /* run */
    uint64_t early;                    /* edges to kernels that wait themselves */
    uint64_t copies;                   /* of graphs, run */
    CUstream_st fallback;              /* the default stream */
};

extern driver_state driver;

/* -- the start of every call
 * ------------------------------------------------------------------------------------------- */

enum needs { NOTHING, START, CONTEXT, END /* a context, which may be lost: what is given back is given back */ };

/* Counts the call; what it must answer at once: a failure that was asked for, that the device is lost, that there is no
 * context. */
CUresult driver_enter(const char *name, needs what);
CUctx_st *driver_context(); /* of this thread, or NULL */

#define ENTER(what)                                                                                                    \
    const std::lock_guard<std::recursive_mutex> hold(driver.lock);                                                     \
    if (const CUresult refused = driver_enter(__func__, what)) return refused

/* -- what the files need of each other
 * ----------------------------------------------------------------------------------- */

enum side { HOST, DEVICE };
/* Whether `size` bytes at p may be read or written by a copy on that side: all of a known span of the device, or
 * nothing of one. */
bool driver_on(side where, const void *p, size_t size);
/* The span that holds p, or spans.end(). */
std::map<uintptr_t, span>::iterator driver_span(const void *p);

/* What a launch does, checked as far as a driver does. */
struct launch_shape {
    unsigned grid[3], block[3], shared;
};
CUresult driver_launch(CUfunc_st *function, const launch_shape &shape, void **params, void **extra, work *what);

/* Appends to a stream (NULL: the default one), and runs what is in it. */
CUresult driver_queue(CUstream_st *stream, work what);
CUresult driver_drain(CUstream_st *stream);
CUresult driver_drain_all();
/* One of the things that are in it, and sometimes one of another stream. False when there is none. */
bool driver_step(CUstream_st *stream);
bool driver_is_stream(CUstream_st *stream);
int driver_shared_limit();

#endif
