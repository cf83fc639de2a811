/* realtime THREADS RUNS ENGINE...: contexts that spin, a filter under which every system call ends the process, an
 * allocator that aborts, and then so many runs of each engine. A child that breaks either rule must die of it. */
#define _GNU_SOURCE /* syscall */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "harness.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);

static volatile int forbidden;

/* Ends the process by the two calls that the filter allows. */
_Noreturn static void die(const char *why) {
    syscall(SYS_write, 2, why, strlen(why));
    syscall(SYS_exit_group, 1);
    __builtin_unreachable();
}

void *__wrap_malloc(size_t size) {
    if (forbidden) die("malloc in a run\n");
    return __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size) {
    if (forbidden) die("calloc in a run\n");
    return __real_calloc(count, size);
}
void *__wrap_realloc(void *block, size_t size) {
    if (forbidden) die("realloc in a run\n");
    return __real_realloc(block, size);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    if (forbidden) die("aligned_alloc in a run\n");
    return __real_aligned_alloc(alignment, size);
}
void __wrap_free(void *block) {
    if (forbidden) die("free in a run\n");
    __real_free(block);
}

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* For all threads at once: the workers are under it as well. */
static void allow_nothing(void) {
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof rules / sizeof rules[0], rules};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
}

/* What must fail does: a system call ends a child by signal, an allocation by exit status 1. */
static void check_the_checks(void) {
    for (int way = 0; way < 2; way++) {
        fflush(NULL);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            CHECK(freopen("/dev/null", "w", stderr) != NULL); /* what die says is meant for others */
            allow_nothing();
            forbidden = 1;
            if (way == 0) syscall(SYS_getpid);
            if (way == 1) __wrap_free(__wrap_malloc(1));
            die("");
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(way == 0 ? WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS
                       : WIFEXITED(status) && WEXITSTATUS(status) == 1);
    }
}

int main(int count, char **arguments) {
    CHECK(count > 3);
    uint32_t threads = (uint32_t)atoi(arguments[1]);
    long runs = atol(arguments[2]);
    check_the_checks();

    int engines = count - 3;
    long done = 0;
    /* With two threads every open context has a worker that spins: one engine at a time, in a child. */
    for (int i = 0; i < engines; i++) {
        fflush(NULL);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child) {
            int status;
            CHECK(waitpid(child, &status, 0) == child);
            if (!WIFEXITED(status) || WEXITSTATUS(status)) {
                fprintf(stderr, "%s: %s\n", arguments[i + 3],
                        WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? "a run made a system call"
                                                                          : "a run failed");
                return 1;
            }
            done += runs;
            continue;
        }
        ingot_engine *engine;
        ingot_context *context;
        ingot_error error;
        ingot_context_options options = {.size = sizeof options, .threads = threads, .wait = INGOT_WAIT_SPIN};
        if (ingot_engine_open_file(arguments[i + 3], NULL, &engine, &error) ||
            ingot_context_create(engine, &options, &context, &error)) {
            fprintf(stderr, "%s\n", error.message);
            return 1;
        }
        allow_nothing();
        forbidden = 1;
        for (long k = 0; k < runs; k++) {
            ingot_status status = ingot_context_run(context, NULL);
            if (status != INGOT_OK && status != INGOT_ERR_INDEX) die("a run failed\n");
        }
        syscall(SYS_exit_group, 0);
    }
    printf("%ld runs with %u threads: no system call, no allocation\n", done, threads);
    return 0;
}
