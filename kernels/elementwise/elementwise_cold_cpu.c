/* Functions compiled once for all instruction sets: float64 (libm), 64-bit integers, integer division, rare ones. */
#include "elementwise_loops.h"

/* -- float64 ------------------------------------------------------------------------------------------------------- */

#define EW_1(f, e) EW_LOOP_1(f64_##f, double, double, double, e)
#define EW_2(f, e) EW_LOOP_2(f64_##f, double, double, double, e)
#define EW_1B(f, e) EW_LOOP_1(f64_##f, uint8_t, double, double, e)
#define EW_2B(f, e) EW_LOOP_2(f64_##f, uint8_t, double, double, e)
#include "functions_f64.inc"
#undef EW_1
#undef EW_2
#undef EW_1B
#undef EW_2B

/* -- integers: everything of the 64-bit types, division of all ----------------------------------------------------- */

#define EW_BITS 64
#define EW_U uint64_t

#define EW_1(f, e) EW_LOOP_1(i64_##f, int64_t, int64_t, float, e)
#define EW_2(f, e) EW_LOOP_2(i64_##f, int64_t, int64_t, float, e)
#define EW_2B(f, e) EW_LOOP_2(i64_##f, uint8_t, int64_t, float, e)
#define EW_T int64_t
#define EW_NEGATIVE(x) ((x) < 0)
#define EW_NAME(f) i64_##f
#include "functions_division.inc"
#include "functions_int.inc"
#undef EW_1
#undef EW_2
#undef EW_2B
#undef EW_T
#undef EW_NEGATIVE
#undef EW_NAME

#define EW_1(f, e) EW_LOOP_1(u64_##f, uint64_t, uint64_t, float, e)
#define EW_2(f, e) EW_LOOP_2(u64_##f, uint64_t, uint64_t, float, e)
#define EW_2B(f, e) EW_LOOP_2(u64_##f, uint8_t, uint64_t, float, e)
#define EW_T uint64_t
#define EW_NEGATIVE(x) 0
#define EW_NAME(f) u64_##f
#include "functions_division.inc"
#include "functions_int.inc"
#undef EW_1
#undef EW_2
#undef EW_2B
#undef EW_T
#undef EW_NEGATIVE
#undef EW_NAME

#define EW_2(f, e) EW_LOOP_2(i32_##f, int32_t, int32_t, float, e)
#define EW_NAME(f) i32_##f
#include "functions_division.inc"
#undef EW_2
#undef EW_NAME

/* -- rare float32 functions and conversions ------------------------------------------------------------------------ */

#define EW_1(f, e) EW_LOOP_1(f32_##f, float, float, float, e)
#include "functions_f32_rare.inc"
#undef EW_1

#define EW_CAST(from, to, T, R, e) EW_LOOP_1(cast_##from##_##to, R, T, float, e)
#include "functions_cast_rare.inc"
#undef EW_CAST

/* -- the table ----------------------------------------------------------------------------------------------------- */

#define EW_CAST(from, to, T, R, e) [INGOT_EW_CAST_##from##_##to * EW_COLUMNS] = cast_##from##_##to,

#define EW_1(f, e) EW_ENTRY(f)
#define EW_2(f, e) EW_ENTRY(f)
#define EW_1B(f, e) EW_ENTRY(f)
#define EW_2B(f, e) EW_ENTRY(f)

const ingot_ew_fn ingot_ew_cold[EW_SLOTS] = {
#define EW_ENTRY(f) [EW_SLOT(f, F64)] = f64_##f,
#include "functions_f64.inc"
#undef EW_ENTRY
#define EW_ENTRY(f) [EW_SLOT(f, I64)] = i64_##f,
#include "functions_division.inc"
#include "functions_int.inc"
#undef EW_ENTRY
#define EW_ENTRY(f) [EW_SLOT(f, U64)] = u64_##f,
#include "functions_division.inc"
#include "functions_int.inc"
#undef EW_ENTRY
#define EW_ENTRY(f) [EW_SLOT(f, I32)] = i32_##f,
#include "functions_division.inc"
#undef EW_ENTRY
#define EW_ENTRY(f) [EW_SLOT(f, F32)] = f32_##f,
#include "functions_f32_rare.inc"
#undef EW_ENTRY
#include "functions_cast_rare.inc"
};
