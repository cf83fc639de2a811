"""ONNX importers: QuantizeLinear and DequantizeLinear, spelled out in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from ingot.kernels.spec import Builder, DType, Unsupported, normal_axis, onnx_op

from .onnx_arithmetic import onnx_dtype

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


@onnx_op("DequantizeLinear")
def _dequantize(b: Builder) -> Any:
    x, scale = b.input(0), b.input(1)
    target = b.attr("output_dtype", 0)
    dtype = onnx_dtype(target) if target else scale.type.dtype
    y = b.cast(x, DType.F32)
    zero = _zero_point(b, x)
    if zero is not None:
        y = b.elementwise("Sub", y, zero)
    scale = _aligned(b, x, scale, b.attr("axis", 1), b.attr("block_size", 0))
    return b.cast(b.elementwise("Mul", y, b.cast(scale, DType.F32)), dtype)


@onnx_op("QuantizeLinear")
def _quantize(b: Builder) -> Any:
    """saturate(round(x / scale) + zero point), halves to even. NaN becomes 0."""
    x, scale, zero = b.input(0), b.input(1), b.input(2)
    target = b.attr("output_dtype", 0)
    dtype = zero.type.dtype if zero is not None else onnx_dtype(target) if target else DType.U8
    if dtype not in _RANGES:
        raise Unsupported(f"QuantizeLinear to {dtype.name.lower()}", "int8, uint8, int16 or uint16")
    low, high = _RANGES[dtype]
    scale = _aligned(b, x, scale, b.attr("axis", 1), b.attr("block_size", 0))
    y = b.elementwise("Div", b.cast(x, DType.F32), b.cast(scale, DType.F32))
    y = b.elementwise("Round", y)
    zero_point = _zero_point(b, x)
    if zero_point is not None:
        y = b.elementwise("Add", y, zero_point)
    return b.cast(b.elementwise("Clip", y, alpha=float(low), beta=float(high)), dtype)
