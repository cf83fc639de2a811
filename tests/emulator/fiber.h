/* Stacks of threads, and going from one to another without a system call. */
#ifndef INGOT_EMULATOR_FIBER_H
#define INGOT_EMULATOR_FIBER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)

struct fiber {
    void *sp;
};

/* Keeps what a function call keeps (System V ABI), and the place, of the fiber that calls; goes on in the other. */
extern "C" void ingot_emulator_switch(fiber *from, const fiber *to);

static inline void fiber_start(fiber *f, unsigned char *stack, size_t size, void (*run)()) {
    void **top = (void **)(stack + size);
    *--top = nullptr; /* the stack is as it is after a call; run never returns */
    *--top = (void *)run;
    for (int i = 0; i < 6; i++) *--top = nullptr;
    f->sp = top;
}

static inline void fiber_switch(fiber *from, const fiber *to) { ingot_emulator_switch(from, to); }

#else
#include <ucontext.h>

struct fiber {
    ucontext_t context;
};

static inline void fiber_start(fiber *f, unsigned char *stack, size_t size, void (*run)()) {
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = size;
    f->context.uc_link = nullptr;
    makecontext(&f->context, run, 0);
}

static inline void fiber_switch(fiber *from, const fiber *to) { swapcontext(&from->context, &to->context); }

#endif
#endif
