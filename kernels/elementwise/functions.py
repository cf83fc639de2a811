"""The elementwise functions: names, arities, element types. ``elementwise.h`` says what they compute."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ingot.kernels.spec import DType

FLOAT = frozenset(d for d in DType if d.is_float)
INTEGER = frozenset(d for d in DType if not d.is_float and d is not DType.BOOL)
BOOL = frozenset({DType.BOOL})
NUMBER = FLOAT | INTEGER
ANY = NUMBER | BOOL


@dataclass(frozen=True, slots=True)
class Function:
    """One function. All operands have one type of ``types`` (the condition of Where apart, which is bool)."""

    name: str
    code: int  #: ``ingot_ew_function``; that of Cast depends on its types
    arity: int
    types: frozenset[DType]
    gives: DType | None = None  #: the type of the result; None: that of the operands
    swapped: bool = False  #: the code computes it with the two operands exchanged


def _functions() -> dict[str, Function]:
    rows = [
        (1, 2, NUMBER, "Add Sub Mul Div Pow Mod Fmod Min Max PRelu"),
        (14, 2, BOOL, "And Or Xor"),
        (17, 1, BOOL, "Not"),
        (18, 2, INTEGER, "BitwiseAnd BitwiseOr BitwiseXor"),
        (21, 1, INTEGER, "BitwiseNot"),
        (22, 2, INTEGER, "ShiftLeft ShiftRight"),
        (24, 3, ANY, "Where"),
        (27, 1, NUMBER, "Neg Abs Sign"),
        (30, 1, FLOAT, "Floor Ceil Round Sqrt Reciprocal Exp Log Sin Cos Tan Asin Acos Atan Sinh Cosh"),
        (45, 1, FLOAT, "Asinh Acosh Atanh Erf Shrink"),
        (50, 1, NUMBER, "Relu"),
        (51, 1, FLOAT, "Clip LeakyRelu Sigmoid Tanh Silu Elu HardSigmoid HardSwish Gelu GeluTanh Softplus Mish"),
        (63, 1, FLOAT, "Softsign Selu Celu ThresholdedRelu Swish"),
    ]
    table = {
        name: Function(name, code + i, arity, types)
        for code, arity, types, names in rows
        for i, name in enumerate(names.split())
    }
    for function in (
        Function("Equal", 11, 2, ANY, gives=DType.BOOL),
        Function("Less", 12, 2, NUMBER, gives=DType.BOOL),
        Function("LessOrEqual", 13, 2, NUMBER, gives=DType.BOOL),
        Function("Greater", 12, 2, NUMBER, gives=DType.BOOL, swapped=True),
        Function("GreaterOrEqual", 13, 2, NUMBER, gives=DType.BOOL, swapped=True),
        Function("IsNaN", 25, 1, FLOAT, gives=DType.BOOL),
        Function("IsInf", 26, 1, FLOAT, gives=DType.BOOL),
        Function("Cast", 0, 1, ANY),
        Function("BitCast", 109, 1, ANY),
        Function("Dequantize", 110, 1, frozenset({DType.I8}), gives=DType.F32),
        Function("Quantize", 111, 1, frozenset({DType.F32}), gives=DType.I8),
        Function("QuantizeLinear", 112, 1, frozenset({DType.F32}), gives=DType.I8),
        Function("MulAdd", 113, 2, frozenset({DType.F32})),
    ):
        table[function.name] = function
    return table


#: every function by name
ELEMENTWISE: dict[str, Function] = _functions()

_CONVERSIONS = """
    I8>I32 U8>I32 I16>I32 U16>I32 BOOL>I32 I32>I8 I32>U8 I32>I16 I32>U16 I32>BOOL I32>I64 I32>F32 I32>F64
    I64>I32 I64>U32 I64>U64 I64>BOOL I64>F32 I64>F64 U32>I64 U64>I64 U64>F32 U64>F64 I8>F32 U8>F32 BOOL>F32
    F16>F32 BF16>F32 F32>I32 F32>I64 F32>U64 F32>BOOL F32>F16 F32>BF16 F32>F64 F64>I32 F64>I64 F64>U64
    F64>BOOL F64>F32 F64>F16
"""

#: the conversions that kernels do in one instruction -> code; longer ways are made of them
CASTS: dict[tuple[DType, DType], int] = {
    (DType[source], DType[target]): 68 + i
    for i, (source, target) in enumerate(pair.split(">") for pair in _CONVERSIONS.split())
}

#: types that are computed in another one, which holds all their values
_COMPUTED_IN = {
    DType.F16: DType.F32,
    DType.BF16: DType.F32,
    DType.I8: DType.I32,
    DType.U8: DType.I32,
    DType.I16: DType.I32,
    DType.U16: DType.I32,
    DType.U32: DType.I64,
    DType.BOOL: DType.I32,
}


def computed_in(function: Function, dtype: DType) -> DType:
    """The type a kernel computes the function in; wrapping around afterwards gives what the narrow type would."""
    if function.name == "Where" or function.types == BOOL or function.gives not in (None, DType.BOOL):
        return dtype
    return _COMPUTED_IN.get(dtype, dtype)


@functools.cache
def cast_path(source: DType, target: DType) -> tuple[DType, ...]:
    """The types a conversion passes through, its own two included. The way between two integer types touches no
    float, whose mantissa might be too short."""
    paths = [(source,)]
    for path in paths:  # grows: a breadth-first search
        if path[-1] is target:
            return path
        through_float = path[-1].is_float and not source.is_float and not target.is_float
        if not through_float:
            paths += [(*path, t) for s, t in CASTS if s is path[-1] and t not in path]
    raise AssertionError(f"no conversion from {source} to {target}")
