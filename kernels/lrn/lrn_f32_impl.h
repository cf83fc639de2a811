/* lrn_f32, compiled once for each instruction set. */
#include "kernel.h"
#include "lrn/lrn.h"
#include "vmath.h"

enum { LRN_PIXELS = 16 }; /* of one work unit */

#define T float
#define NAME(x) x##_f32
#define SQRT ingot_sqrt_f32
#define POW ingot_pow_f32
#define KERNEL lrn_f32
#include "lrn/lrn_body.h"
