/* The floating-point mode every kernel runs in: round to nearest, subnormals kept, exceptions masked.
 *
 * A process linked with -ffast-math, or one that set its own mode, must get the same bits as any other. A thread calls
 * `enter` before the first step and `leave` after the last; where the mode is right already, which is usual, neither
 * writes the control register and the pair costs a few nanoseconds. */
#ifndef INGOT_FPENV_H
#define INGOT_FPENV_H

#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>

typedef uint32_t ingot_fpenv;

enum {
    INGOT_MXCSR = 0x1f80,      /* exceptions masked; nearest; neither flush-to-zero nor denormals-are-zero */
    INGOT_MXCSR_STICKY = 0x3f, /* exception flags: they change no result */
};

static inline int ingot_fpenv_is_right(ingot_fpenv mode) {
    return (mode & ~(uint32_t)INGOT_MXCSR_STICKY) == INGOT_MXCSR;
}

static inline ingot_fpenv ingot_fpenv_enter(void) {
    const ingot_fpenv saved = _mm_getcsr();
    if (!ingot_fpenv_is_right(saved)) {
        _mm_setcsr(INGOT_MXCSR);
    }
    return saved;
}

static inline void ingot_fpenv_leave(ingot_fpenv saved) {
    if (!ingot_fpenv_is_right(saved)) {
        _mm_setcsr(saved);
    }
}

#elif defined(__aarch64__)

typedef uint64_t ingot_fpenv;

/* FPCR is 0 in the mode we want: nearest, no FZ, FZ16, DN or AHP, no traps. */
static inline void ingot_fpenv_write(ingot_fpenv mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory"); }

static inline ingot_fpenv ingot_fpenv_enter(void) {
    ingot_fpenv saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved) : : "memory");
    if (saved != 0) {
        ingot_fpenv_write(0);
    }
    return saved;
}

static inline void ingot_fpenv_leave(ingot_fpenv saved) {
    if (saved != 0) {
        ingot_fpenv_write(saved);
    }
}

#else
#include <fenv.h>

typedef int ingot_fpenv;

static inline ingot_fpenv ingot_fpenv_enter(void) {
    const ingot_fpenv saved = fegetround();
    if (saved != FE_TONEAREST) {
        fesetround(FE_TONEAREST);
    }
    return saved;
}

static inline void ingot_fpenv_leave(ingot_fpenv saved) {
    if (saved != FE_TONEAREST) {
        fesetround(saved);
    }
}
#endif

#endif
