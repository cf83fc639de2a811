#define _GNU_SOURCE /* cpu_set_t, pthread_setaffinity_np, syscall */
#include "workers.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fpenv.h"

/* All synchronisation is one idea: a thread announces how far it has come by storing a number only it writes, and
 * others wait until that number is high enough. A run moves every thread through the same numbers: one at the start
 * (announced by thread 0 alone), one at each barrier (by all), one at the end (by the workers). With a line of its own
 * for each number nothing is contended: two threads meet in the time one cache line takes each way. */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STACK (2 << 20) /* their own variables lie there too */
#else
#define STACK (256 << 10) /* bytes above what the system asks for; kernels work in scratch memory, not here */
#endif

enum {
    LINE = 128,               /* two lines of 64: processors fetch them in pairs */
    STACK_PRESENT = 32 << 10, /* bytes touched before the worker starts, so that no run meets a page fault */

    FUTEX_WAIT_PRIVATE = 128, /* <linux/futex.h>, which a C library alone does not bring */
    FUTEX_WAKE_PRIVATE = 129,
};

#define FIRST_PHASE (UINT32_MAX - 7) /* so that it wraps around in every test and not after a day */

typedef struct member {
    _Alignas(LINE) _Atomic uint32_t phase; /* announced; futex word; wraps around */
    _Atomic uint32_t sleepers;             /* who may sleep on it; BLOCK only */
    _Alignas(LINE) uint32_t local_phase;   /* the thread's own count */
    uint32_t index;
    pthread_t thread;
    ingot_workers *pool;
} member;

struct ingot_workers {
    uint32_t count; /* threads that take part, the caller's included */
    uint32_t spin;  /* nobody sleeps */
    uint32_t spin_limit;
    ingot_workers_fn fn; /* of this run; NULL ends the workers. Published by member 0's phase */
    void *argument;
    member members[];
};

/* ---- waiting --------------------------------------------------------------------------------------------------- */

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* pauses some ten nanoseconds, where yield is no operation on most cores */
#endif
}

static void futex(_Atomic uint32_t *word, int operation, uint32_t value) {
    /* EAGAIN (the word changed) and EINTR need no answer: the caller looks at the word again. */
    const int error = errno;
    syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
    errno = error;
}

static int reached(uint32_t phase, uint32_t target) { return phase - target < UINT32_C(0x80000000); }

/* Sleeping is safe because both sides write, then read, in the one order of sequentially consistent operations: either
 * the announcer sees the sleeper and wakes it, or the sleeper (and the kernel, again) sees the new phase. */
static void announce(const ingot_workers *pool, member *self) {
    if (pool->spin) {
        atomic_store_explicit(&self->phase, self->local_phase, memory_order_release);
        return;
    }
    atomic_store(&self->phase, self->local_phase);
    if (atomic_load(&self->sleepers) != 0) {
        futex(&self->phase, FUTEX_WAKE_PRIVATE, INT_MAX);
    }
}

static void sleep_until(member *other, uint32_t target) {
    atomic_fetch_add(&other->sleepers, 1);
    for (uint32_t phase; !reached(phase = atomic_load(&other->phase), target);) {
        futex(&other->phase, FUTEX_WAIT_PRIVATE, phase);
    }
    atomic_fetch_sub(&other->sleepers, 1);
}

static void wait_for(const ingot_workers *pool, member *other, uint32_t target) {
    for (uint32_t polls = 0; !reached(atomic_load_explicit(&other->phase, memory_order_acquire), target);) {
        if (!pool->spin && polls++ >= pool->spin_limit) {
            sleep_until(other, target);
            return;
        }
        relax();
    }
}

static void wait_for_others(ingot_workers *pool, const member *self) {
    for (uint32_t i = 0; i < pool->count; ++i) {
        if (i != self->index) {
            wait_for(pool, &pool->members[i], self->local_phase);
        }
    }
}

/* ---- a run ----------------------------------------------------------------------------------------------------- */

void ingot_workers_barrier(ingot_workers *workers, uint32_t thread) {
    member *self = &workers->members[thread];
    ++self->local_phase;
    announce(workers, self);
    wait_for_others(workers, self);
}

void ingot_workers_run(ingot_workers *workers, ingot_workers_fn fn, void *argument) {
    member *self = &workers->members[0];
    workers->fn = fn;
    workers->argument = argument;
    ++self->local_phase;
    announce(workers, self);
    fn(argument, 0);
    ++self->local_phase;
    wait_for_others(workers, self); /* nobody waits for thread 0 here: its number is skipped */
}

static void *work(void *argument) {
    member *self = argument;
    ingot_workers *pool = self->pool;
    ingot_fpenv_enter();
    for (;;) {
        ++self->local_phase; /* ready, or done with the last run */
        announce(pool, self);
        ++self->local_phase;
        wait_for(pool, &pool->members[0], self->local_phase);
        if (pool->fn == NULL) {
            return NULL;
        }
        pool->fn(pool->argument, self->index);
    }
}

/* ---- start and stop -------------------------------------------------------------------------------------------- */

static size_t round_up(size_t n) { return (n + INGOT_WORKERS_ALIGN - 1) / INGOT_WORKERS_ALIGN * INGOT_WORKERS_ALIGN; }

/* The system's minimum depends on the processor: a signal frame holds its vector registers. */
static size_t stack_size(void) {
    const long least = sysconf(_SC_THREAD_STACK_MIN);
    return round_up((size_t)(least > 0 ? least : 0) + STACK);
}

static size_t pool_size(uint32_t threads) { return round_up(sizeof(ingot_workers) + threads * sizeof(member)); }

size_t ingot_workers_memory(uint32_t threads) {
    return threads < 2 ? 0 : pool_size(threads) + (threads - 1) * stack_size();
}

static int create(member *worker, char *stack, size_t size) {
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error) {
        return error;
    }
    memset(stack + size - STACK_PRESENT, 0, STACK_PRESENT);
    error = pthread_attr_setstack(&attributes, stack, size);
    if (!error) {
        error = pthread_create(&worker->thread, &attributes, work, worker);
    }
    pthread_attr_destroy(&attributes);
    return error;
}

/* Set from outside once the thread exists: the attributes that would do it are not in every libc. */
static int place(const member *worker, const ingot_workers_options *options, const char **failed) {
    int error = 0;
    if (options->cpus != NULL) {
        const uint32_t cpu = options->cpus[worker->index - 1];
        cpu_set_t set;
        CPU_ZERO(&set);
        if (cpu < CPU_SETSIZE) {
            CPU_SET(cpu, &set);
        }
        *failed = "pthread_setaffinity_np";
        error = pthread_setaffinity_np(worker->thread, sizeof set, &set); /* EINVAL if the set is empty */
    }
    if (!error && options->priority != 0) {
        const struct sched_param parameters = {.sched_priority = (int)options->priority};
        *failed = "pthread_setschedparam";
        error = pthread_setschedparam(worker->thread, SCHED_FIFO, &parameters);
    }
    return error;
}

static int options_are_sound(const ingot_workers_options *options) {
    return options->threads >= 2 && options->threads <= INGOT_WORKERS_MAX_THREADS && options->priority <= 99 &&
           (options->wait == INGOT_WAIT_SPIN || options->wait == INGOT_WAIT_BLOCK);
}

int ingot_workers_start(void *memory, const ingot_workers_options *options, ingot_workers **workers,
                        const char **failed) {
    *workers = NULL;
    *failed = "options";
    if (!options_are_sound(options) || (uintptr_t)memory % INGOT_WORKERS_ALIGN != 0) {
        return EINVAL;
    }
    ingot_workers *pool = memory;
    memset(pool, 0, sizeof *pool + options->threads * sizeof(member));
    for (uint32_t i = 0; i < options->threads; ++i) {
        member *m = &pool->members[i];
        atomic_init(&m->phase, FIRST_PHASE);
        atomic_init(&m->sleepers, 0);
        m->local_phase = FIRST_PHASE;
        m->index = i;
        m->pool = pool;
    }
    pool->spin = options->wait == INGOT_WAIT_SPIN;
    pool->spin_limit = options->spin_limit;

    /* Workers inherit the signal mask: the application's handlers belong on the application's threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    char *stack = (char *)memory + pool_size(options->threads);
    int error = 0;
    for (pool->count = 1; pool->count < options->threads && !error; stack += stack_size()) {
        member *worker = &pool->members[pool->count];
        *failed = "pthread_create";
        error = create(worker, stack, stack_size());
        pool->count += !error; /* workers read it in a run only */
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    for (uint32_t i = 1; i < pool->count && !error; ++i) {
        error = place(&pool->members[i], options, failed);
    }
    ++pool->members[0].local_phase; /* the workers' first number: ready */
    if (error) {
        ingot_workers_stop(pool);
        return error;
    }
    wait_for_others(pool, &pool->members[0]);
    *workers = pool;
    return 0;
}

void ingot_workers_stop(ingot_workers *workers) {
    if (workers == NULL) {
        return;
    }
    workers->fn = NULL;
    ++workers->members[0].local_phase;
    announce(workers, &workers->members[0]);
    for (uint32_t i = 1; i < workers->count; ++i) {
        pthread_join(workers->members[i].thread, NULL);
    }
}
