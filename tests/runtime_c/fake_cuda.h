/* What a test tells the driver that is none (fake_cuda.c), and what it asks of it. */
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H

#include <stdint.h>

typedef struct fake_cuda {
    /* the machine */
    int version, arch, multiprocessors, shared, integrated, devices;
    uint64_t memory;    /* bytes of the device */
    float milliseconds; /* between any two events */
    int slow;           /* nobody who asks sees the end of work: only who waits does */
    /* faults */
    long fail_at; /* this call, counted from 1, answers `error`; 0: none */
    int error;
    /* what happened */
    long calls, launches, synchronisations, queries, records, pushes, pops, copies, updates;
    long alive;   /* objects and blocks that were made and are not gone */
    long current; /* contexts pushed and not popped */
    long registered;
    const char *failed; /* the function that answered `error` */
} fake_cuda;

/* Memory of the device, of which the host sees nothing but through copies; pinned memory has another address there. */
void *fake_cuda_allocate(uint64_t size);
void fake_cuda_free(void *address);
void fake_cuda_write(void *device, const void *from, uint64_t size);
void fake_cuda_read(void *to, const void *device, uint64_t size);

#endif
