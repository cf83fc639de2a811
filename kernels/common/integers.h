/* Arithmetic of extents, offsets and counts of work. */
#ifndef INGOT_INTEGERS_H
#define INGOT_INTEGERS_H

#include <stdint.h>

static inline int64_t ingot_min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t ingot_max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* a / b rounded up, and a as a multiple of b, for a >= 0 and b > 0. */
static inline int64_t ingot_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t ingot_round_up(int64_t a, int64_t b) { return ingot_ceil_div(a, b) * b; }

#endif
