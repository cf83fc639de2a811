"""ONNX operators whose result is known when the model is built: they become constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ingot.kernels.gather.op import gather
from ingot.kernels.spec import Builder, DType, Unsupported, onnx_op

ELEMENTS_MAX = 1 << 26
"""A generated constant of more elements is refused: a small foreign file must not ask for any amount of memory."""

_ONNX_TYPES = {
    1: DType.F32,
    2: DType.U8,
    3: DType.I8,
    4: DType.U16,
    5: DType.I16,
    6: DType.I32,
    7: DType.I64,
    9: DType.BOOL,
    10: DType.F16,
    11: DType.F64,
    12: DType.U32,
    13: DType.U64,
}
"""``TensorProto.DataType`` to ours, of the types that NumPy has."""


def _check_size(b: Builder, count: int) -> None:
    if count > ELEMENTS_MAX:
        raise Unsupported(f"{b.op_type} of {count} elements", f"at most {ELEMENTS_MAX}")


@onnx_op("Shape")
def _shape(b: Builder) -> Any:
    shape = b.input(0).type.shape
    return b.constant(np.array(shape[slice(b.attr("start", 0), b.attr("end"))], np.int64))


@onnx_op("Size")
def _size(b: Builder) -> Any:
    return b.constant(np.array(b.input(0).type.count, np.int64))


@onnx_op("ConstantOfShape")
def _constant_of_shape(b: Builder) -> Any:
    shape = [int(n) for n in b.const(0).ravel()]
    value = np.asarray(b.attr("value", np.zeros(1, np.float32)))
    if min(shape, default=0) < 0 or value.size != 1:
        raise Unsupported(f"ConstantOfShape of shape {shape} with {value.size} values", "extents >= 0 and one value")
    _check_size(b, math.prod(shape))
    return b.constant(np.full(shape, value.ravel()[0], value.dtype))


@onnx_op("Range")
def _range(b: Builder) -> Any:
    start, limit, delta = (b.const(i).ravel()[0] for i in range(3))
    if delta == 0 or not np.isfinite([start, limit, delta]).all():
        raise Unsupported(f"Range from {start} to {limit} by {delta}", "finite numbers and a step other than 0")
    count = max(0, math.ceil((limit.item() - start.item()) / delta.item()))
    _check_size(b, count)
    dtype = start.dtype
    if dtype.kind == "f":
        return b.constant((start + np.arange(count) * np.float64(delta)).astype(dtype))
    return b.constant(
        (start.astype(np.int64) + np.arange(count, dtype=np.int64) * delta.astype(np.int64)).astype(dtype)
    )


@onnx_op("EyeLike")
def _eye_like(b: Builder) -> Any:
    x = b.input(0)
    if x.type.rank != 2:
        raise Unsupported(f"EyeLike of {x.type}", "a matrix")
    wanted = b.attr("dtype")
    dtype = x.type.dtype if wanted is None else _ONNX_TYPES.get(wanted)
    if dtype is None or dtype is DType.BF16:
        raise Unsupported(f"EyeLike of element type {wanted}", "a type that NumPy has")
    _check_size(b, x.type.count)
    return b.constant(np.eye(*x.type.shape, k=b.attr("k", 0), dtype=dtype.numpy))


@onnx_op("NonZero")
def _non_zero(b: Builder) -> Any:
    x = b.const(0)
    return b.constant(np.array(np.nonzero(np.atleast_1d(x)), np.int64).reshape(max(x.ndim, 1), -1))


@onnx_op("Compress")
def _compress(b: Builder) -> Any:
    """A condition that is a constant is a list of indices."""
    x, chosen = b.input(0), np.flatnonzero(b.const(1))
    axis = b.attr("axis")
    if axis is None:
        x, axis = b.reshape(x, (x.type.count,)), 0
    return gather(b, x, b.constant(chosen.astype(np.int64)), axis % max(x.type.rank, 1))
