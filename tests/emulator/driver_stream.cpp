/* Streams and events. A stream holds what was asked of it; the calls that wait or ask make it happen, in turns that the
 * seed decides. */
#include <time.h>

#include "driver.h"

namespace {

enum { NON_BLOCKING = 1 };   /* cuStreamCreate */
enum { DISABLE_TIMING = 2 }; /* cuEventCreate */

double milliseconds() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* The default stream and those that wait for it go on in the order in which they were asked: they are one queue. */
CUstream_st *queue_of(CUstream_st *stream) { return !stream || stream->waits_for_default ? &driver.fallback : stream; }

void run_front(CUstream_st *queue) {
    const work what = std::move(queue->queue.front());
    queue->queue.pop_front();
    if (driver.lost) return;
    if (const char *reason = what()) {
        driver.reason = reason;
        const bool address = driver.reason.find("access") != std::string::npos;
        driver.lost = address ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_ERROR_LAUNCH_FAILED;
    }
}

bool is_event(CUevent event) { return driver.events.has(event); }

CUresult create(CUstream *stream, unsigned flags) {
    if (flags & ~1u) return CUDA_ERROR_INVALID_VALUE;
    *stream = driver.streams.add(new CUstream_st{{}, !(flags & NON_BLOCKING)});
    return CUDA_SUCCESS;
}

} // namespace

bool driver_is_stream(CUstream_st *stream) { return !stream || driver.streams.has(stream); }

CUresult driver_queue(CUstream_st *stream, work what) {
    queue_of(stream)->queue.push_back(std::move(what));
    return CUDA_SUCCESS;
}

bool driver_step(CUstream_st *stream) {
    for (CUstream_st *other : driver.streams) {
        const uint32_t turn = driver.chance.below(8);
        if (turn < 2 && !other->queue.empty()) run_front(other);
        while (turn == 0 && !other->queue.empty()) run_front(other);
    }
    CUstream_st *queue = queue_of(stream);
    if (queue->queue.empty()) return false;
    run_front(queue);
    return true;
}

CUresult driver_drain(CUstream_st *stream) {
    while (driver_step(stream)) {
    }
    return driver.lost;
}

CUresult driver_drain_all() {
    driver_drain(nullptr);
    for (CUstream_st *stream : driver.streams) driver_drain(stream);
    return driver.lost;
}

API CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
    ENTER(CONTEXT);
    return create(stream, flags);
}

API CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int) {
    ENTER(CONTEXT);
    return create(stream, flags);
}

/* What is in it still happens. */
API CUresult cuStreamDestroy_v2(CUstream stream) {
    ENTER(END);
    if (!driver.streams.has(stream)) return CUDA_ERROR_INVALID_HANDLE;
    driver_drain(stream);
    driver.streams.remove(stream);
    return driver.lost;
}

API CUresult cuStreamSynchronize(CUstream stream) {
    ENTER(CONTEXT);
    return driver_is_stream(stream) ? driver_drain(stream) : CUDA_ERROR_INVALID_HANDLE;
}

API CUresult cuStreamQuery(CUstream stream) {
    ENTER(CONTEXT);
    if (!driver_is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
    driver_step(stream);
    if (driver.lost) return driver.lost;
    return queue_of(stream)->queue.empty() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

API CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                            unsigned block_y, unsigned block_z, unsigned shared, CUstream stream, void **params,
                            void **extra) {
    ENTER(CONTEXT);
    if (!driver_is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
    const launch_shape shape = {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared};
    work what;
    const CUresult result = driver_launch(function, shape, params, extra, &what);
    return result ? result : driver_queue(stream, std::move(what));
}

API CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr address, uint32_t value, unsigned flags) {
    ENTER(CONTEXT);
    if (!driver_is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
    if (flags || address % 4 || driver_span((const void *)address) == driver.spans.end())
        return CUDA_ERROR_INVALID_VALUE;
    return driver_queue(stream, [=]() -> const char * {
        *(uint32_t *)address = value;
        return nullptr;
    });
}

API CUresult cuEventCreate(CUevent *event, unsigned flags) {
    ENTER(CONTEXT);
    if (flags & ~3u) return CUDA_ERROR_INVALID_VALUE;
    *event = driver.events.add(new CUevent_st{!(flags & DISABLE_TIMING), 0, 0, 0.0});
    return CUDA_SUCCESS;
}

API CUresult cuEventDestroy_v2(CUevent event) {
    ENTER(END);
    if (!is_event(event)) return CUDA_ERROR_INVALID_HANDLE;
    driver.events.remove(event);
    return driver.lost;
}

API CUresult cuEventRecord(CUevent event, CUstream stream) {
    ENTER(CONTEXT);
    if (!is_event(event) || !driver_is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
    const uint64_t mine = ++event->recorded;
    return driver_queue(stream, [=]() -> const char * {
        if (!is_event(event)) return nullptr;
        event->reached = mine;
        event->at = milliseconds();
        return nullptr;
    });
}

/* Some of what is under way happens meanwhile. */
API CUresult cuEventQuery(CUevent event) {
    ENTER(CONTEXT);
    if (!is_event(event)) return CUDA_ERROR_INVALID_HANDLE;
    driver_step(nullptr);
    for (CUstream_st *stream : driver.streams)
        if (event->reached != event->recorded) driver_step(stream);
    if (driver.lost) return driver.lost;
    return event->reached == event->recorded ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

API CUresult cuEventSynchronize(CUevent event) {
    ENTER(CONTEXT);
    if (!is_event(event)) return CUDA_ERROR_INVALID_HANDLE;
    for (bool more = true; more && event->reached != event->recorded;) {
        more = driver_step(nullptr);
        for (CUstream_st *stream : driver.streams)
            if (event->reached != event->recorded) more |= driver_step(stream);
    }
    return driver.lost;
}

API CUresult cuEventElapsedTime(float *elapsed, CUevent from, CUevent to) {
    ENTER(CONTEXT);
    if (!is_event(from) || !is_event(to) || !from->timed || !to->timed || !from->recorded || !to->recorded)
        return CUDA_ERROR_INVALID_HANDLE;
    if (from->reached != from->recorded || to->reached != to->recorded) return CUDA_ERROR_NOT_READY;
    *elapsed = (float)(to->at - from->at);
    return CUDA_SUCCESS;
}
