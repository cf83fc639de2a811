/* The reductions of the scatter kernels. Integers wrap as NumPy's do, which C spells with unsigned types; of a NaN and
 * a number the NaN is both larger and smaller. */
#include "scatter_nd/combine.h"

#define COMBINE(NAME, TYPE, RESULT)                                                                                    \
    static void NAME(void *to, const void *from, int64_t count) {                                                      \
        TYPE *t = to;                                                                                                  \
        const TYPE *f = from;                                                                                          \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            TYPE a = t[i], b = f[i];                                                                                   \
            t[i] = (TYPE)(RESULT);                                                                                     \
        }                                                                                                              \
    }
#define COMBINE_ORDER(SUFFIX, TYPE)                                                                                    \
    COMBINE(max_##SUFFIX, TYPE, b > a || b != b ? b : a)                                                               \
    COMBINE(min_##SUFFIX, TYPE, b < a || b != b ? b : a)
#define COMBINE_WRAP(SUFFIX, TYPE)                                                                                     \
    COMBINE(add_##SUFFIX, TYPE, (uint64_t)a + (uint64_t)b)                                                             \
    COMBINE(mul_##SUFFIX, TYPE, (uint64_t)a *(uint64_t)b)
#define COMBINE_FLOAT(SUFFIX, TYPE)                                                                                    \
    COMBINE(add_##SUFFIX, TYPE, a + b)                                                                                 \
    COMBINE(mul_##SUFFIX, TYPE, a *b)

COMBINE_FLOAT(f32, float)
COMBINE_FLOAT(f64, double)
COMBINE_WRAP(8, uint8_t)
COMBINE_WRAP(16, uint16_t)
COMBINE_WRAP(32, uint32_t)
COMBINE_WRAP(64, uint64_t)
COMBINE_ORDER(f32, float)
COMBINE_ORDER(f64, double)
COMBINE_ORDER(i8, int8_t)
COMBINE_ORDER(i16, int16_t)
COMBINE_ORDER(i32, int32_t)
COMBINE_ORDER(i64, int64_t)
COMBINE_ORDER(u8, uint8_t)
COMBINE_ORDER(u16, uint16_t)
COMBINE_ORDER(u32, uint32_t)
COMBINE_ORDER(u64, uint64_t)

static const ingot_combine_fn functions[INGOT_DTYPE_COUNT][INGOT_SCATTER_REDUCTION_COUNT] = {
    [INGOT_F32] = {NULL, add_f32, mul_f32, max_f32, min_f32}, [INGOT_F64] = {NULL, add_f64, mul_f64, max_f64, min_f64},
    [INGOT_I8] = {NULL, add_8, mul_8, max_i8, min_i8},        [INGOT_U8] = {NULL, add_8, mul_8, max_u8, min_u8},
    [INGOT_I16] = {NULL, add_16, mul_16, max_i16, min_i16},   [INGOT_U16] = {NULL, add_16, mul_16, max_u16, min_u16},
    [INGOT_I32] = {NULL, add_32, mul_32, max_i32, min_i32},   [INGOT_U32] = {NULL, add_32, mul_32, max_u32, min_u32},
    [INGOT_I64] = {NULL, add_64, mul_64, max_i64, min_i64},   [INGOT_U64] = {NULL, add_64, mul_64, max_u64, min_u64},
};

ingot_combine_fn ingot_combiner(uint8_t dtype, uint32_t reduction) {
    return dtype < INGOT_DTYPE_COUNT && reduction < INGOT_SCATTER_REDUCTION_COUNT ? functions[dtype][reduction] : NULL;
}
