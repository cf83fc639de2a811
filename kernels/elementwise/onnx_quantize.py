"""ONNX importers: QuantizeLinear and DequantizeLinear.

What int8 kernels can make use of becomes the operators ``quantize`` and ``dequantize``; uint8 is shifted by 128
together with its zero point. Everything else is spelled out in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ingot.kernels.dequantize.op import DequantizeAttrs
from ingot.kernels.quantize.op import QuantizeAttrs
from ingot.kernels.spec import Builder, DType, Quant, Unsupported, normal_axis, onnx_op

from .onnx_arithmetic import onnx_dtype
from .program import Insn, Program

#: what a quantised tensor may hold
_RANGES = {
    DType.I8: (-128, 127),
    DType.U8: (0, 255),
    DType.I16: (-32768, 32767),
    DType.U16: (0, 65535),
}
_FORMS = "one scale for the tensor, for each index of an axis, or for each block of an axis"


def _repeated(b: Builder, value: Any, axis: int, block: int, extent: int) -> Any:
    """A blocked scale or zero point with each element standing for its block, the last one perhaps cut short."""
    if not value.is_constant:
        shape = list(value.type.shape)
        if shape[axis] * block != extent:
            raise Unsupported("blocks that do not divide the axis, with a scale known only at run time", "a constant")
        apart = b.reshape(value, [*shape[: axis + 1], 1, *shape[axis + 1 :]])
        block_shape = [block if i == axis + 1 else 1 for i in range(len(shape) + 1)]
        ones = b.constant(np.ones(block_shape, value.type.dtype.numpy))
        shape[axis] = extent
        return b.reshape(b.elementwise("Mul", apart, ones), shape)
    data = np.repeat(value.data, block, axis)
    return b.constant(np.take(data, range(extent), axis))


def _aligned(b: Builder, x: Any, value: Any, axis: int, block: int) -> Any:
    """A scale or zero point in a shape that broadcasts over ``x``."""
    shape = value.type.shape
    rank = x.type.rank
    if value.type.count == 1 and not block:
        return b.reshape(value, ())
    axis = normal_axis(axis, rank)
    extent = x.type.shape[axis]
    if block:
        if len(shape) != rank or shape[axis] * block < extent or (shape[axis] - 1) * block >= extent:
            raise Unsupported(f"scales of shape {shape} for {x.type} in blocks of {block} on axis {axis}", _FORMS)
        return _repeated(b, value, axis, block, extent)
    if len(shape) != 1 or shape[0] != extent:
        raise Unsupported(f"scales of shape {shape} for {x.type} on axis {axis}", _FORMS)
    return b.reshape(value, [extent if i == axis else 1 for i in range(rank)])


def _zero_point(b: Builder, x: Any) -> Any | None:
    """The zero point over ``x`` in float32; ``None`` when it is absent or 0 everywhere."""
    zero = b.input(2)
    if zero is None or (zero.is_constant and not np.any(zero.data)):
        return None
    return b.cast(_aligned(b, x, zero, b.attr("axis", 1), b.attr("block_size", 0)), DType.F32)


#: x + 128 and x - 128 in 8 bits: the other value of the highest bit
_TO_SIGNED = Program((Insn("BitwiseXor", DType.U8, (0, 1)), Insn("BitCast", DType.I8, (2,))))
_TO_UNSIGNED = Program((Insn("BitCast", DType.U8, (0,)), Insn("BitwiseXor", DType.U8, (2, 1))))
#: operators that only move elements: the shift moves through them
_MOVES = ("reshape", "transpose", "slice", "expand", "concat")


def signed(b: Builder, x: Any) -> Any:
    """uint8 as int8, less by 128; int8 as it is."""
    if x.type.dtype is not DType.U8:
        return x
    if x.data is not None:
        return b.constant((x.data ^ 128).view(np.int8), x.name)
    node = x.producer
    if node is not None and node.op.name == "elementwise" and node.attrs == _TO_UNSIGNED:
        return node.inputs[0]
    if node is not None and node.op.name in _MOVES and _comes_from_int8(x):
        return b.emit(node.op.name, node.attrs, [signed(b, value) for value in node.inputs])[0]
    return b.emit("elementwise", _TO_SIGNED, [x, b.constant(np.array(128, np.uint8))])[0]


def _comes_from_int8(x: Any) -> bool:
    node = x.producer
    if node is None:
        return x.data is not None
    if node.op.name == "elementwise":
        return node.attrs == _TO_UNSIGNED
    return node.op.name in _MOVES and all(_comes_from_int8(value) for value in node.inputs)


def unsigned(b: Builder, x: Any) -> Any:
    """int8 as uint8, more by 128."""
    return b.emit("elementwise", _TO_UNSIGNED, [x, b.constant(np.array(128, np.uint8))])[0]


def _scales(b: Builder, x: Any) -> tuple[np.ndarray, np.ndarray, int | None] | None:
    """Constant float32 scales, zero points and their axis, in a form that int8 kernels understand; or None."""
    scale, zero = b.input(1), b.input(2)
    constant = scale.data is not None and (zero is None or zero.data is not None)
    if not constant or scale.type.dtype is not DType.F32 or b.attr("block_size", 0):
        return None
    scales = scale.data.ravel()
    zeros = np.zeros(len(scales), np.int64) if zero is None else zero.data.ravel().astype(np.int64)
    if not (np.isfinite(scales) & (scales > 0)).all() or zeros.shape != scales.shape:
        return None
    if scale.type.count == 1:
        return scales, zeros, None
    axis = normal_axis(b.attr("axis", 1), x.type.rank)
    return (scales, zeros, axis) if scale.type.shape == (x.type.shape[axis],) else None


def _as_dequantize(b: Builder, x: Any) -> Any | None:
    """DequantizeLinear as the internal operator, for int8, uint8 and int32."""
    found = _scales(b, x) if x.type.dtype in (DType.I8, DType.U8, DType.I32) else None
    if found is None:
        return None
    scales, zeros, axis = found
    if x.type.dtype is DType.I32:
        return _dequantized_bias(b, x, *found) if x.data is not None and not zeros.any() else None
    zeros = zeros - 128 if x.type.dtype is DType.U8 else zeros
    attrs = DequantizeAttrs(tuple(scales.tolist()), tuple(zeros.tolist()), axis)
    return b.emit("dequantize", attrs, [signed(b, x)])[0]


def _dequantized_bias(b: Builder, x: Any, scales: np.ndarray, zeros: np.ndarray, axis: int | None) -> Any:
    """An int32 constant in real numbers, rounded once."""
    shape = [-1 if i == axis else 1 for i in range(x.type.rank)]
    wide = scales.astype(np.float64).reshape(shape if axis is not None else ())
    return b.constant((x.data.astype(np.float64) * wide).astype(np.float32), x.name)


def _as_quantize(b: Builder, x: Any, dtype: DType, rounds_as: DType) -> Any | None:
    """QuantizeLinear as the internal operator, for int8 and uint8 with one scale."""
    found = _scales(b, x) if dtype in (DType.I8, DType.U8) and x.type.dtype is DType.F32 else None
    if found is None or found[2] is not None:
        return None
    scale, zero = float(found[0][0]), int(found[1][0])
    quant = Quant(scale, zero - 128 if dtype is DType.U8 else zero, rounds_as)
    y = b.emit("quantize", QuantizeAttrs(quant), [x])[0]
    return unsigned(b, y) if dtype is DType.U8 else y


@onnx_op("DequantizeLinear")
def _dequantize(b: Builder) -> Any:
    x, scale = b.input(0), b.input(1)
    target = b.attr("output_dtype", 0)
    dtype = onnx_dtype(target) if target else scale.type.dtype
    y = _as_dequantize(b, x) if dtype is DType.F32 else None
    if y is not None:
        return y
    y = b.cast(x, DType.F32)
    zero = _zero_point(b, x)
    if zero is not None:
        y = b.elementwise("Sub", y, zero)
    scale = _aligned(b, x, scale, b.attr("axis", 1), b.attr("block_size", 0))
    return b.cast(b.elementwise("Mul", y, b.cast(scale, DType.F32)), dtype)


@onnx_op("QuantizeLinear")
def _quantize(b: Builder) -> Any:
    """Operators between DequantizeLinear and this become those of uint8 in onnxruntime, whatever the type is."""
    return quantize_linear(b, DType.U8)


def quantize_linear(b: Builder, rounds_as: DType) -> Any:
    """saturate(round(x / scale) + zero point), halves to even. NaN becomes 0. ``rounds_as``: see Quant."""
    x, scale, zero = b.input(0), b.input(1), b.input(2)
    target = b.attr("output_dtype", 0)
    dtype = zero.type.dtype if zero is not None else onnx_dtype(target) if target else DType.U8
    if dtype not in _RANGES:
        raise Unsupported(f"QuantizeLinear to {dtype.name.lower()}", "int8, uint8, int16 or uint16")
    y = _as_quantize(b, x, dtype, rounds_as)
    if y is not None:
        return y
    low, high = _RANGES[dtype]
    scale = _aligned(b, x, scale, b.attr("axis", 1), b.attr("block_size", 0))
    y = b.elementwise("Div", b.cast(x, DType.F32), b.cast(scale, DType.F32))
    y = b.elementwise("Round", y)
    zero_point = _zero_point(b, x)
    if zero_point is not None:
        y = b.elementwise("Add", y, zero_point)
    return b.cast(b.elementwise("Clip", y, alpha=float(low), beta=float(high)), dtype)
