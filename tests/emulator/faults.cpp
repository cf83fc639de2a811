/* Signals while a kernel runs. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "launch.h"
#include "memory.h"

namespace emulation {

namespace {

constexpr int COUNT = 4, SIGNALS[COUNT] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

pthread_t launching;
unsigned char stack[64 << 10];
stack_t stack_before;
struct sigaction before[COUNT];

void on_signal(int signal, siginfo_t *info, void *) {
    if (!self || !pthread_equal(launching, pthread_self())) { /* not the kernel's doing */
        ::signal(signal, SIG_DFL);
        return;
    }
    char where[200];
    if (signal == SIGFPE) fail("division of an integer by zero");
    if (signal == SIGILL) fail("unreachable code was reached");
    const unsigned char *address = (const unsigned char *)info->si_addr;
    if (address >= stacks && address < stacks + STACK * MAX_THREADS) fail("more than %zu bytes of stack", STACK);
    if (address >= shared && address < dynamic_end) fail("an access behind static shared memory");
    if (address >= dynamic_end && address < dynamic_end + 4096)
        fail("an access %zd bytes behind the %u of dynamic shared memory", address - dynamic_end, launch->shared);
    if (address >= call_page && address < call_page + MAX_CALL) fail("an operand or parameter was written");
    if (ingot_emulator_describe(address, where, sizeof where)) fail("an access out of bounds: %s", where);
    fail("an access to %p, where nothing is", (const void *)address);
}

} // namespace

faults::faults() {
    launching = pthread_self();
    stack_t mine = {};
    mine.ss_sp = stack;
    mine.ss_size = sizeof stack;
    sigaltstack(&mine, &stack_before);
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < COUNT; i++) sigaction(SIGNALS[i], &action, &before[i]);
}

faults::~faults() {
    for (int i = 0; i < COUNT; i++) sigaction(SIGNALS[i], &before[i], nullptr);
    sigaltstack(&stack_before, nullptr);
}

} // namespace emulation
