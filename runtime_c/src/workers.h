/* The worker threads of one context: a fixed pool that a run forks to and joins, with a barrier in between.
 *
 *     static void program(void *context, uint32_t thread) {      // on every thread, the caller's being thread 0
 *         for (each step) { do_share(context, step, thread); ingot_workers_barrier(workers, thread); }
 *     }
 *     ingot_workers_run(workers, program, context);
 *
 * INGOT_WAIT_SPIN: nobody ever makes a system call between start and stop. Workers poll between runs too, so each takes
 * a core for itself for good; with fewer cores than threads every barrier can cost a time slice of the scheduler.
 * INGOT_WAIT_BLOCK: whoever waits polls `spin_limit` times and then sleeps until woken (a futex).
 *
 * Everything lies in one block of the caller's, the stacks included. Workers have all signals blocked and run in the
 * floating-point mode of fpenv.h. After fork() the child has no workers: it must not use the pool. A context of one
 * thread needs no pool. One thread at a time may start, run and stop a pool. */
#ifndef INGOT_WORKERS_H
#define INGOT_WORKERS_H

#include <stddef.h>
#include <stdint.h>

#include "ingot.h" /* ingot_wait */

enum {
    INGOT_WORKERS_MAX_THREADS = 64,
    INGOT_WORKERS_ALIGN = 4096,      /* of the memory */
    INGOT_WORKERS_SPIN_LIMIT = 2000, /* a good spin_limit: some 20 to 100 microseconds, longer than most steps differ */
};

typedef struct ingot_workers ingot_workers;
typedef void (*ingot_workers_fn)(void *argument, uint32_t thread);

typedef struct ingot_workers_options {
    uint32_t threads;     /* 2..64, the caller's among them */
    uint32_t wait;        /* ingot_wait */
    uint32_t spin_limit;  /* BLOCK: polls before sleeping; 0 sleeps at once */
    uint32_t priority;    /* 1..99: the workers run under SCHED_FIFO; 0: as the caller */
    const uint32_t *cpus; /* threads - 1 of them: where thread 1, 2, ... is pinned; NULL: nowhere */
} ingot_workers_options;

/* Bytes that a pool takes; 0 for one thread. The same throughout a process. */
size_t ingot_workers_memory(uint32_t threads);

/* Makes a pool in `memory` (aligned to INGOT_WORKERS_ALIGN, ingot_workers_memory(threads) bytes, kept until stop) and
 * returns when every worker waits for work. Returns 0, or an errno with the failed call's name in *failed (a static
 * string): EPERM for a priority the user may not take, EINVAL for an unknown CPU or an option out of range, EAGAIN for
 * too many threads. After a failure no thread is left and the memory is free. */
int ingot_workers_start(void *memory, const ingot_workers_options *options, ingot_workers **workers,
                        const char **failed);
/* Calls fn(argument, thread) once on every thread, this one being thread 0, and returns when all have come back. What
 * was written before is visible to fn, and what fn wrote is visible after. */
void ingot_workers_run(ingot_workers *workers, ingot_workers_fn fn, void *argument);
/* Inside fn: nobody passes before all have arrived. Every thread must call it equally often in a run. */
void ingot_workers_barrier(ingot_workers *workers, uint32_t thread);
/* Ends and joins the workers; the memory is the caller's again. NULL is fine. */
void ingot_workers_stop(ingot_workers *workers);

#endif
