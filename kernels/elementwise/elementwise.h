/* The elementwise kernel: a straight-line program over broadcast inputs that passes over memory once. */
#ifndef INGOT_ELEMENTWISE_H
#define INGOT_ELEMENTWISE_H

#include <stdint.h>

/* cffi:begin */
enum { INGOT_EW_MAX_INSNS = 32, INGOT_EW_MAX_INPUTS = 12, INGOT_EW_MAX_REGISTERS = 12, INGOT_EW_MAX_ARGS = 3 };

/* Semantics: ONNX's operator of that name; integers wrap around. The numbers are part of the engine file. */
typedef enum ingot_ew_function {
    INGOT_EW_NONE = 0,
    INGOT_EW_ADD = 1,
    INGOT_EW_SUB = 2,
    INGOT_EW_MUL = 3,
    INGOT_EW_DIV = 4, /* integers: toward zero, x / 0 = 0 */
    INGOT_EW_POW = 5,
    INGOT_EW_MOD = 6,  /* sign of the divisor; x mod 0 = 0 for integers */
    INGOT_EW_FMOD = 7, /* sign of the dividend */
    INGOT_EW_MIN = 8,  /* NaN if either is */
    INGOT_EW_MAX = 9,
    INGOT_EW_PRELU = 10,
    INGOT_EW_EQUAL = 11,
    INGOT_EW_LESS = 12,
    INGOT_EW_LESS_OR_EQUAL = 13,
    INGOT_EW_AND = 14,
    INGOT_EW_OR = 15,
    INGOT_EW_XOR = 16,
    INGOT_EW_NOT = 17,
    INGOT_EW_BITWISE_AND = 18,
    INGOT_EW_BITWISE_OR = 19,
    INGOT_EW_BITWISE_XOR = 20,
    INGOT_EW_BITWISE_NOT = 21,
    INGOT_EW_SHIFT_LEFT = 22,  /* distance not in [0, bits): 0 */
    INGOT_EW_SHIFT_RIGHT = 23, /* distance not in [0, bits): 0, or -1 for a negative number */
    INGOT_EW_WHERE = 24,       /* bool, any, any */
    INGOT_EW_IS_NAN = 25,
    INGOT_EW_IS_INF = 26, /* alpha: -inf counts, beta: +inf counts */
    INGOT_EW_NEG = 27,
    INGOT_EW_ABS = 28,
    INGOT_EW_SIGN = 29,
    INGOT_EW_FLOOR = 30,
    INGOT_EW_CEIL = 31,
    INGOT_EW_ROUND = 32,
    INGOT_EW_SQRT = 33,
    INGOT_EW_RECIPROCAL = 34,
    INGOT_EW_EXP = 35,
    INGOT_EW_LOG = 36,
    INGOT_EW_SIN = 37,
    INGOT_EW_COS = 38,
    INGOT_EW_TAN = 39,
    INGOT_EW_ASIN = 40,
    INGOT_EW_ACOS = 41,
    INGOT_EW_ATAN = 42,
    INGOT_EW_SINH = 43,
    INGOT_EW_COSH = 44,
    INGOT_EW_ASINH = 45,
    INGOT_EW_ACOSH = 46,
    INGOT_EW_ATANH = 47,
    INGOT_EW_ERF = 48,
    INGOT_EW_SHRINK = 49, /* alpha: bias, beta: lambda */
    INGOT_EW_RELU = 50,   /* from here to SWISH: see activation.h */
    INGOT_EW_CLIP = 51,   /* constant bounds alpha, beta */
    INGOT_EW_LEAKY_RELU = 52,
    INGOT_EW_SIGMOID = 53,
    INGOT_EW_TANH = 54,
    INGOT_EW_SILU = 55,
    INGOT_EW_ELU = 56,
    INGOT_EW_HARD_SIGMOID = 57,
    INGOT_EW_HARD_SWISH = 58,
    INGOT_EW_GELU = 59,
    INGOT_EW_GELU_TANH = 60,
    INGOT_EW_SOFTPLUS = 61,
    INGOT_EW_MISH = 62,
    INGOT_EW_SOFTSIGN = 63,
    INGOT_EW_SELU = 64,
    INGOT_EW_CELU = 65,
    INGOT_EW_THRESHOLDED_RELU = 66,
    INGOT_EW_SWISH = 67,
    /* Conversions. Float to integer truncates and saturates, NaN gives 0; integers wrap; to bool: != 0. */
    INGOT_EW_CAST_I8_I32 = 68,
    INGOT_EW_CAST_U8_I32 = 69,
    INGOT_EW_CAST_I16_I32 = 70,
    INGOT_EW_CAST_U16_I32 = 71,
    INGOT_EW_CAST_BOOL_I32 = 72,
    INGOT_EW_CAST_I32_I8 = 73,
    INGOT_EW_CAST_I32_U8 = 74,
    INGOT_EW_CAST_I32_I16 = 75,
    INGOT_EW_CAST_I32_U16 = 76,
    INGOT_EW_CAST_I32_BOOL = 77,
    INGOT_EW_CAST_I32_I64 = 78,
    INGOT_EW_CAST_I32_F32 = 79,
    INGOT_EW_CAST_I32_F64 = 80,
    INGOT_EW_CAST_I64_I32 = 81,
    INGOT_EW_CAST_I64_U32 = 82,
    INGOT_EW_CAST_I64_U64 = 83,
    INGOT_EW_CAST_I64_BOOL = 84,
    INGOT_EW_CAST_I64_F32 = 85,
    INGOT_EW_CAST_I64_F64 = 86,
    INGOT_EW_CAST_U32_I64 = 87,
    INGOT_EW_CAST_U64_I64 = 88,
    INGOT_EW_CAST_U64_F32 = 89,
    INGOT_EW_CAST_U64_F64 = 90,
    INGOT_EW_CAST_I8_F32 = 91,
    INGOT_EW_CAST_U8_F32 = 92,
    INGOT_EW_CAST_BOOL_F32 = 93,
    INGOT_EW_CAST_F16_F32 = 94,
    INGOT_EW_CAST_BF16_F32 = 95,
    INGOT_EW_CAST_F32_I32 = 96,
    INGOT_EW_CAST_F32_I64 = 97,
    INGOT_EW_CAST_F32_U64 = 98,
    INGOT_EW_CAST_F32_BOOL = 99,
    INGOT_EW_CAST_F32_F16 = 100,
    INGOT_EW_CAST_F32_BF16 = 101,
    INGOT_EW_CAST_F32_F64 = 102,
    INGOT_EW_CAST_F64_I32 = 103,
    INGOT_EW_CAST_F64_I64 = 104,
    INGOT_EW_CAST_F64_U64 = 105,
    INGOT_EW_CAST_F64_BOOL = 106,
    INGOT_EW_CAST_F64_F32 = 107,
    INGOT_EW_CAST_F64_F16 = 108,
    INGOT_EW_BIT_CAST = 109, /* the same bits as any type of that width */
    /* int8 that stands for real numbers; alpha: scale, beta: zero point, a whole number in [-128, 127]. */
    INGOT_EW_DEQUANTIZE = 110,      /* int8 -> float32: (x - beta) * alpha */
    INGOT_EW_QUANTIZE = 111,        /* float32 -> int8: round(x * alpha) + beta, saturated; NaN gives beta */
    INGOT_EW_QUANTIZE_LINEAR = 112, /* the same of x / alpha */
    INGOT_EW_MUL_ADD = 113,         /* x * alpha + y, rounded once */
    INGOT_EW_FUNCTION_COUNT = 114
} ingot_ew_function;

/* One instruction. An argument below INGOT_EW_MAX_INPUTS is an input, otherwise INGOT_EW_MAX_INPUTS + a register. */
typedef struct ingot_ew_insn {
    uint8_t function; /* ingot_ew_function */
    uint8_t dtype;    /* of the result; that of the operands follows from them */
    uint8_t dst;      /* register; 0 in the last instruction, which writes the output */
    uint8_t args[3];  /* unused ones 0 */
    uint8_t reserved[2];
    float alpha;
    float beta;
} ingot_ew_insn;

typedef struct ingot_elementwise_params {
    uint32_t insn_count;
    uint32_t register_count;
    ingot_ew_insn insns[INGOT_EW_MAX_INSNS];
} ingot_elementwise_params;
/* cffi:end */

#endif
