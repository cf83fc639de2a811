/* What loops need so that compilers make vector code of them without a scalar tail. */
#ifndef INGOT_LOOP_H
#define INGOT_LOOP_H

#include <stdint.h>

/* The lanes of the widest vector of 4-byte elements. A loop over a multiple of it needs no tail: tails are slow for
 * transcendental functions and cost as much code as the loop itself. */
enum { INGOT_LANES = 16 };

/* n rounded down, in a form from which the compiler sees that it is a multiple. */
#define INGOT_WHOLE_LANES(n) ((n) & ~(int64_t)(INGOT_LANES - 1))

/* Before a loop whose iteration i reads and writes only elements i: source and destination may then be the same
 * memory (in-place steps), which `restrict` would forbid and an alias check would send to scalar code. */
#if defined(__clang__)
#define INGOT_VECTOR_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define INGOT_VECTOR_LOOP _Pragma("GCC ivdep")
#endif

#endif
