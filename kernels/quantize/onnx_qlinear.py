"""ONNX importers: operators that compute on quantised tensors, as float operators between dequantize and quantize.

The pass ``fold_qdq`` makes integers of them again, in the same way as of models that come with QuantizeLinear and
DequantizeLinear. What such an operator takes and gives is int8 or uint8, so the result is exact up to the rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ingot.kernels.spec import ONNX, Builder, DType, Unsupported, onnx_op

_MICROSOFT = "com.microsoft"


class _Float:
    """An ONNX node of another type, with inputs of its own: what the importers of float operators are given."""

    def __init__(self, b: Builder, op_type: str, inputs: Sequence[Any], opset: int = 13) -> None:
        self._b = b
        self._inputs = list(inputs)
        self.op_type = op_type
        self.opset = opset
        self.input_count = len(self._inputs)
        self.output_count = 1

    def input(self, index: int) -> Any | None:
        return self._inputs[index] if index < len(self._inputs) else None

    def const(self, index: int, default: Any = None) -> np.ndarray:
        value = self.input(index)
        if value is None:
            return default
        if value.data is None:
            raise Unsupported(f"input {index} of {self.op_type} is known only at run time", "a constant")
        return value.data

    def has_output(self, index: int) -> bool:
        return index == 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._b, name)

    def run(self) -> Any:
        """Its first result."""
        found = ONNX["", self.op_type](self)
        return found[0] if isinstance(found, list) else found


class _Linear(_Float):
    """QuantizeLinear or DequantizeLinear with its axis."""

    def __init__(self, b: Builder, op_type: str, inputs: Sequence[Any], axis: int) -> None:
        super().__init__(b, op_type, inputs)
        self._axis = axis

    def attr(self, name: str, default: Any = None) -> Any:
        return self._axis if name == "axis" else default


def real(b: Builder, x: int, scale: int, zero: int, axis: int = 1) -> Any:
    """The real numbers that inputs ``x``, ``scale`` and ``zero`` stand for."""
    return _Linear(b, "DequantizeLinear", [b.input(x), b.input(scale), b.input(zero)], axis).run()


def stored(b: Builder, y: Any, scale: int, zero: int) -> Any:
    """``y`` as it is to be stored: by scale and zero point at these inputs, rounded in numbers of their type."""
    from ingot.kernels.elementwise.onnx_quantize import quantize_linear  # which imports the operator of this folder

    zero_point = b.input(zero)
    dtype = DType.U8 if zero_point is None else zero_point.type.dtype
    return quantize_linear(_Linear(b, "QuantizeLinear", [y, b.input(scale), zero_point], 1), dtype)


@onnx_op("QLinearConv")
def _conv(b: Builder) -> Any:
    x, w = real(b, 0, 1, 2), real(b, 3, 4, 5, axis=0)
    bias = b.input(8)
    if bias is not None:
        scale = b.const(1).astype(np.float64) * b.const(4).astype(np.float64)
        data = b.const(8).astype(np.float64) * scale.reshape(-1)
        bias = b.constant(data.astype(np.float32))
    return stored(b, _Float(b, "Conv", [x, w, bias]).run(), 6, 7)


@onnx_op("QLinearMatMul")
def _matmul(b: Builder) -> Any:
    a = real(b, 0, 1, 2, axis=_vector_axis(b, 1, -2))
    y = real(b, 3, 4, 5, axis=_vector_axis(b, 4, -1))
    return stored(b, _Float(b, "MatMul", [a, y]).run(), 6, 7)


def _vector_axis(b: Builder, scale: int, axis: int) -> int:
    """The axis of rows (of the left operand) or columns (of the right one); one scale needs none."""
    x = b.input(scale - 1)
    return axis if b.input(scale).type.count > 1 and x.type.rank > 1 else -1


@onnx_op("QGemm", domain=_MICROSOFT)
def _gemm(b: Builder) -> Any:
    """a, a_scale, a_zero, b, b_scale, b_zero, c (int32, on the scale of the product), y_scale, y_zero."""
    axis = 0 if b.attr("transB", 0) else 1
    a, w, c = real(b, 0, 1, 2), real(b, 3, 4, 5, axis=axis), b.input(6)
    if c is not None:
        scale = b.const(1).astype(np.float64) * b.const(4).astype(np.float64) * float(b.attr("alpha", 1.0))
        c = b.constant((b.const(6).astype(np.float64) * scale).astype(np.float32))
    y = _Float(b, "Gemm", [a, w, c]).run()
    return y if b.input(7) is None else stored(b, y, 7, 8)


def _two_operands(op_type: str) -> Callable[[Builder], Any]:
    def importer(b: Builder) -> Any:
        return stored(b, _Float(b, op_type, [real(b, 0, 1, 2), real(b, 3, 4, 5)]).run(), 6, 7)

    return importer


def _one_operand(op_type: str) -> Callable[[Builder], Any]:
    def importer(b: Builder) -> Any:
        return stored(b, _Float(b, op_type, [real(b, 0, 1, 2)]).run(), 3, 4)

    return importer


for _name in ("Add", "Mul"):
    onnx_op(f"QLinear{_name}", domain=_MICROSOFT)(_two_operands(_name))
for _name in ("Sigmoid", "LeakyRelu", "Softmax"):
    onnx_op(f"QLinear{_name}", domain=_MICROSOFT)(_one_operand(_name))


@onnx_op("QLinearAveragePool", "QLinearGlobalAveragePool", domain=_MICROSOFT)
def _pool(b: Builder) -> Any:
    if b.attr("channels_last", 0):
        raise Unsupported(f"{b.op_type} with channels_last", "channels first, as ONNX has it")
    return stored(b, _Float(b, b.op_type.removeprefix("QLinear"), [real(b, 0, 1, 2)]).run(), 3, 4)


@onnx_op("QLinearConcat", domain=_MICROSOFT)
def _concat(b: Builder) -> Any:
    """y_scale, y_zero, then a value, its scale and its zero point for each piece."""
    pieces = [real(b, index, index + 1, index + 2) for index in range(2, b.input_count, 3)]
    return stored(b, _Float(b, "Concat", pieces).run(), 0, 1)


def _exact_integers(b: Builder, x: Any, zero: Any | None, axis: int) -> Any:
    """x - zero point in int32."""
    x = b.cast(x, DType.I32)
    if zero is None or (zero.data is not None and not zero.data.any()):
        return x
    zero = b.cast(zero, DType.I32)
    if zero.type.count > 1:
        shape = [zero.type.count if i == axis % x.type.rank else 1 for i in range(x.type.rank)]
        zero = b.reshape(zero, shape)
    return b.elementwise("Sub", x, zero if zero.type.count > 1 else b.reshape(zero, ()))


@onnx_op("MatMulInteger")
def _matmul_integer(b: Builder) -> Any:
    """int32, exactly."""
    x, y = _exact_integers(b, b.input(0), b.input(2), -2), _exact_integers(b, b.input(1), b.input(3), -1)
    return _Float(b, "MatMul", [x, y]).run()


@onnx_op("ConvInteger")
def _conv_integer(b: Builder) -> Any:
    """int32. Sums of up to 2^24 are exact in float32, longer ones are computed in float64."""
    x, w = b.input(0), b.input(1)
    terms = int(np.prod(w.type.shape[1:])) * 255 * 255
    wide = DType.F32 if terms < 1 << 24 else DType.F64
    x, w = (b.cast(_exact_integers(b, v, z, axis), wide) for v, z, axis in ((x, b.input(2), 1), (w, b.input(3), 0)))
    return b.cast(_Float(b, "Conv", [x, w]).run(), DType.I32)
