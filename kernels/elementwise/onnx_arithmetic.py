"""ONNX importers: arithmetic, comparison, logic, selection, conversion."""

from __future__ import annotations

from typing import Any

import numpy as np

from ingot.kernels.spec import Builder, DType, Unsupported, onnx_op

from .program import Insn, Program

#: ONNX operators that are a function of the same name and operands, without attributes
_SAME = """
    Add Sub Mul Div PRelu And Or Xor Not BitwiseAnd BitwiseOr BitwiseXor BitwiseNot Equal Less LessOrEqual
    Greater GreaterOrEqual Where IsNaN Neg Abs Sign Floor Ceil Round Sqrt Reciprocal Exp Log Sin Cos Tan Asin
    Acos Atan Sinh Cosh Asinh Acosh Atanh Erf Relu Sigmoid Tanh HardSwish Softplus Mish Softsign
"""

#: TensorProto.DataType -> element type
_ONNX_DTYPES = {
    1: DType.F32, 2: DType.U8, 3: DType.I8, 4: DType.U16, 5: DType.I16, 6: DType.I32, 7: DType.I64, 9: DType.BOOL,
    10: DType.F16, 11: DType.F64, 12: DType.U32, 13: DType.U64, 16: DType.BF16,
}  # fmt: skip


def onnx_dtype(number: int) -> DType:
    """The element type of a ``TensorProto.DataType``; Unsupported when Ingot has none."""
    if number not in _ONNX_DTYPES:
        raise Unsupported(f"element type {number} (TensorProto.DataType)", "float, integer of 8 to 64 bits, or bool")
    return _ONNX_DTYPES[number]


def _operands(b: Builder) -> list[Any]:
    return [b.input(i) for i in range(b.input_count)]


@onnx_op(*_SAME.split())
def _same(b: Builder) -> Any:
    return b.elementwise(b.op_type, *_operands(b))


@onnx_op("IsInf")
def _is_inf(b: Builder) -> Any:
    negative, positive = b.attr("detect_negative", 1), b.attr("detect_positive", 1)
    return b.elementwise("IsInf", b.input(0), alpha=float(negative != 0), beta=float(positive != 0))


@onnx_op("Mod")
def _mod(b: Builder) -> Any:
    x, y = _operands(b)
    fmod = b.attr("fmod", 0)
    return b.elementwise("Fmod" if fmod else "Mod", x, y)


@onnx_op("BitShift")
def _bit_shift(b: Builder) -> Any:
    direction = b.attr("direction")
    functions = {"LEFT": "ShiftLeft", "RIGHT": "ShiftRight"}
    if direction not in functions:
        raise Unsupported(f"BitShift with direction {direction!r}", "LEFT or RIGHT")
    return b.elementwise(functions[direction], *_operands(b))


def _scalar(value: Any) -> float | None:
    """The number a one-element constant holds."""
    if value is None or value.data is None or value.type.count != 1 or value.type.dtype is DType.BF16:
        return None
    return value.data.reshape(-1)[0].item()


@onnx_op("Pow")
def _pow(b: Builder) -> Any:
    """The result has the type of the base, whatever that of the exponent."""
    x, y = _operands(b)
    dtype = x.type.dtype
    if dtype.is_float and y.type.rank <= x.type.rank:
        exponent = _scalar(y)
        if exponent == 2:
            return b.elementwise("Mul", x, x)
        if exponent == 0.5:
            return b.elementwise("Sqrt", x)
    if y.type.dtype is dtype:
        return b.elementwise("Pow", x, y)
    if dtype.is_float:
        return b.elementwise("Pow", x, b.cast(y, dtype))
    # An integer base: in float64 when the exponent is a float, else in integers of 64 bits.
    wide = DType.F64 if y.type.dtype.is_float else DType.I64
    return b.cast(b.elementwise("Pow", b.cast(x, wide), b.cast(y, wide)), dtype)


def _chain(b: Builder, function: str) -> Any:
    """A function of two applied to any number of operands, from the left."""
    result, *rest = _operands(b)
    for operand in rest:
        result = b.elementwise(function, result, operand)
    return result


@onnx_op("Sum", "Min", "Max")
def _variadic(b: Builder) -> Any:
    return _chain(b, {"Sum": "Add"}.get(b.op_type, b.op_type))


@onnx_op("Mean")
def _mean(b: Builder) -> Any:
    total = _chain(b, "Add")
    return total if b.input_count == 1 else b.elementwise("Div", total, _like(b, b.input_count, total.type.dtype))


def _like(b: Builder, number: float, dtype: DType) -> Any:
    """A scalar constant of an element type."""
    if dtype is DType.BF16:
        return b.cast(b.constant(np.asarray(number, np.float32)), dtype)
    return b.constant(np.asarray(number, dtype.numpy))


@onnx_op("Clip")
def _clip(b: Builder) -> Any:
    """Bounds are attributes up to opset 6 and inputs from 11 on; absent ones bound nothing."""
    x = b.input(0)
    dtype = x.type.dtype
    if b.opset < 11:
        low = _like(b, b.attr("min", float(np.finfo(np.float32).min)), dtype)
        high = _like(b, b.attr("max", float(np.finfo(np.float32).max)), dtype)
    else:
        low, high = b.input(1), b.input(2)
    if low is None and high is None:
        return x
    if dtype in (DType.F32, DType.F16):
        alpha = -np.inf if low is None else _scalar(low)
        beta = np.inf if high is None else _scalar(high)
        if alpha is not None and beta is not None and not np.isnan([alpha, beta]).any():
            if alpha == 0 and beta == np.inf:
                return b.elementwise("Relu", x)
            return b.elementwise("Clip", x, alpha=alpha, beta=beta)
    if low is not None:
        x = b.elementwise("Max", x, low)
    return x if high is None else b.elementwise("Min", x, high)


@onnx_op("Cast")
def _cast(b: Builder) -> Any:
    return b.cast(b.input(0), onnx_dtype(b.attr("to")))


@onnx_op("CastLike")
def _cast_like(b: Builder) -> Any:
    return b.cast(b.input(0), b.input(1).type.dtype)


@onnx_op("BitCast")
def _bit_cast(b: Builder) -> Any:
    program = Program((Insn("BitCast", onnx_dtype(b.attr("to")), (0,)),))
    return b.emit("elementwise", program, [b.input(0)])


@onnx_op("Dropout")
def _dropout(b: Builder) -> Any:
    """Inference: the input itself, and a mask of ones when somebody asks."""
    x = b.input(0)
    training = b.input(2)
    if training is not None:
        if not training.is_constant:
            raise Unsupported("Dropout whose training_mode is known only at run time", "training_mode = false")
        ratio = b.const(1, np.float32(0.5)) if bool(np.any(training.data)) else 0.0
        if np.any(np.asarray(ratio) != 0):
            raise Unsupported("Dropout in training mode", "training_mode = false")
    if b.output_count < 2:
        return [x]
    mask_dtype = np.bool_ if b.opset >= 10 else x.type.dtype.numpy
    return [x, b.constant(np.ones(x.type.shape, mask_dtype))]
