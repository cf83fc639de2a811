/* The worker pool: every thread does its share, barriers and joins order memory, errors leave nothing behind. */
#define _GNU_SOURCE
#include <errno.h>
#include <fenv.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "workers.h"

enum { STEPS = 5, MARGIN = 64 };

typedef struct job {
    ingot_workers *workers;
    uint32_t threads;
    uint32_t run;                                /* written between runs, read in them */
    uint32_t cells[INGOT_WORKERS_MAX_THREADS];   /* written by one thread, read by all after a barrier */
    uint32_t results[INGOT_WORKERS_MAX_THREADS]; /* written in a run, read after */
} job;

static void exchange(void *argument, uint32_t thread) {
    job *j = argument;
    uint32_t wrong = 0;
    for (uint32_t step = 0; step < STEPS; ++step) {
        j->cells[thread] = j->run * STEPS + step;
        ingot_workers_barrier(j->workers, thread);
        for (uint32_t i = 0; i < j->threads; ++i) {
            wrong += j->cells[i] != j->run * STEPS + step;
        }
        ingot_workers_barrier(j->workers, thread);
    }
    j->results[thread] = wrong == 0 ? j->run + 1 : UINT32_MAX;
}

static void run_often(job *j, uint32_t runs) {
    for (j->run = 0; j->run < runs; ++j->run) {
        ingot_workers_run(j->workers, exchange, j);
        for (uint32_t i = 0; i < j->threads; ++i) {
            CHECK(j->results[i] == j->run + 1);
        }
    }
}

static uint8_t *new_memory(size_t size) {
    uint8_t *memory = aligned_alloc(INGOT_WORKERS_ALIGN, (size + MARGIN + 4095) / 4096 * 4096);
    CHECK(memory != NULL);
    memset(memory, 0xa5, size + MARGIN);
    return memory;
}

static void free_memory(uint8_t *memory, size_t size) {
    for (size_t i = size; i < size + MARGIN; ++i) {
        CHECK(memory[i] == 0xa5);
    }
    free(memory);
}

static void pool_works(uint32_t threads, ingot_wait wait, uint32_t spin_limit, uint32_t runs) {
    const size_t size = ingot_workers_memory(threads);
    uint8_t *memory = new_memory(size);
    const ingot_workers_options options = {.threads = threads, .wait = wait, .spin_limit = spin_limit};
    for (int again = 0; again < 2; ++again) {
        static job j;
        const char *failed;
        j.threads = threads;
        CHECK(ingot_workers_start(memory, &options, &j.workers, &failed) == 0);
        run_often(&j, runs);
        ingot_workers_stop(j.workers);
    }
    free_memory(memory, size);
}

static const volatile double one = 1, three = 3;

static void divide(void *argument, uint32_t thread) { ((double *)argument)[thread] = one / three; }

static void workers_choose_their_own_floating_point_mode(void) {
    const size_t size = ingot_workers_memory(2);
    uint8_t *memory = new_memory(size);
    ingot_workers *workers;
    const char *failed;
    double third[2] = {0, 0};
    const double nearest = one / three;
    fesetround(FE_UPWARD);
    CHECK(ingot_workers_start(memory, &(ingot_workers_options){.threads = 2}, &workers, &failed) == 0);
    ingot_workers_run(workers, divide, third);
    ingot_workers_stop(workers);
    fesetround(FE_TONEAREST);
    CHECK(third[0] != nearest && third[1] == nearest);
    free_memory(memory, size);
}

static void refuses(const ingot_workers_options *options, int expected, const char *call) {
    const size_t size = ingot_workers_memory(4);
    uint8_t *memory = new_memory(size);
    ingot_workers *workers;
    const char *failed;
    CHECK(ingot_workers_start(memory, options, &workers, &failed) == expected);
    CHECK(strcmp(failed, call) == 0);
    CHECK(workers == NULL);
    free_memory(memory, size);
}

static void errors(void) {
    const uint32_t no_such[3] = {100000, 100000, 100000}, absent[3] = {1023, 1023, 1023};
    refuses(&(ingot_workers_options){.threads = 1}, EINVAL, "options");
    refuses(&(ingot_workers_options){.threads = 65}, EINVAL, "options");
    refuses(&(ingot_workers_options){.threads = 2, .wait = 2}, EINVAL, "options");
    refuses(&(ingot_workers_options){.threads = 2, .priority = 100}, EINVAL, "options");
    refuses(&(ingot_workers_options){.threads = 4, .cpus = no_such}, EINVAL, "pthread_setaffinity_np");
    refuses(&(ingot_workers_options){.threads = 4, .wait = INGOT_WAIT_SPIN, .cpus = absent}, EINVAL,
            "pthread_setaffinity_np");
    CHECK(ingot_workers_memory(0) == 0 && ingot_workers_memory(1) == 0);
    ingot_workers_stop(NULL);
}

/* Needs a privilege that a test may or may not have. */
static void real_time_priority(void) {
    const size_t size = ingot_workers_memory(2);
    uint8_t *memory = new_memory(size);
    static job j;
    const char *failed;
    j.threads = 2;
    const int error =
        ingot_workers_start(memory, &(ingot_workers_options){.threads = 2, .priority = 1}, &j.workers, &failed);
    if (error == 0) {
        run_often(&j, 10);
        ingot_workers_stop(j.workers);
    } else {
        CHECK(error == EPERM && strcmp(failed, "pthread_setschedparam") == 0);
    }
    free_memory(memory, size);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1 /* as gcc says it */
#endif
#endif

/* Kills the process at the first system call of any thread but exit_group; 0 where the kernel does not offer it. */
static int forbid_system_calls(void) {
#ifdef __SANITIZE_THREAD__
    return 0; /* it has a thread of its own that sleeps */
#endif
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

static void spinning_makes_no_system_call(void) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        static job j = {.threads = 2};
        const char *failed;
        const ingot_workers_options options = {.threads = 2, .wait = INGOT_WAIT_SPIN};
        if (ingot_workers_start(new_memory(ingot_workers_memory(2)), &options, &j.workers, &failed) != 0) {
            _exit(1);
        }
        if (!forbid_system_calls()) {
            fputs("no seccomp here: system calls not checked\n", stderr);
            _exit(0);
        }
        run_often(&j, 10000);
        syscall(__NR_exit_group, 0); /* not _exit: AddressSanitizer does things before a function that never returns */
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
    spinning_makes_no_system_call(); /* forks, so it comes before any thread */
    pool_works(2, INGOT_WAIT_SPIN, 0, 1000);
    pool_works(3, INGOT_WAIT_SPIN, 0, 5); /* few: on two cores every barrier may cost a time slice */
    pool_works(2, INGOT_WAIT_BLOCK, INGOT_WORKERS_SPIN_LIMIT, 1000);
    pool_works(2, INGOT_WAIT_BLOCK, 0, 500);
    pool_works(4, INGOT_WAIT_BLOCK, 0, 200);
    pool_works(7, INGOT_WAIT_BLOCK, 3, 100);
    pool_works(INGOT_WORKERS_MAX_THREADS, INGOT_WAIT_BLOCK, 0, 2);
    workers_choose_their_own_floating_point_mode();
    errors();
    real_time_priority();
    return 0;
}
