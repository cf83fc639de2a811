"""int8 or int32 -> float32: ``(q - zero) * scale``, the difference exact, then one multiplication."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ingot.kernels.elementwise import lower
from ingot.kernels.elementwise.cuda import on_cuda
from ingot.kernels.elementwise.program import Insn, Program
from ingot.kernels.spec import (
    Axis,
    DType,
    NodeView,
    OpSpec,
    Params,
    Quant,
    Sample,
    Tactic,
    TensorType,
    Unsupported,
    scale_shape,
)


@dataclass(frozen=True, slots=True)
class DequantizeAttrs:
    """One scale and zero point for the tensor (``axis`` None), or one for each index of ``axis``."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: Axis = None

    @property
    def quant(self) -> Quant | None:
        """What the whole tensor stands for, if there is one answer."""
        return Quant(self.scales[0], self.zero_points[0]) if self.axis is None else None


def _infer(attrs: DequantizeAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    (x,) = inputs
    if x.dtype not in (DType.I8, DType.I32):
        raise Unsupported(f"dequantize of {x}", "int8 or int32")
    inside = not isinstance(attrs.axis, int) or 0 <= attrs.axis < x.rank
    wanted = math.prod(scale_shape(attrs.axis, x.shape)) if inside else -1
    if not len(attrs.scales) == len(attrs.zero_points) == wanted:
        raise Unsupported(f"{len(attrs.scales)} scales for {x}", "one for the tensor or for each index of an axis")
    if not all(s > 0 and np.isfinite(s) for s in attrs.scales):
        raise Unsupported("a scale that is not a positive number", "positive scales")
    if x.dtype is DType.I8 and not all(-128 <= zero <= 127 for zero in attrs.zero_points):
        raise Unsupported("a zero point out of range", "zero points in [-128, 127]")
    return (TensorType(DType.F32, x.shape),)


def dequantized(attrs: DequantizeAttrs, data: np.ndarray) -> np.ndarray:
    """What a constant stands for, float32."""
    shape = scale_shape(attrs.axis, data.shape)
    zero = np.array(attrs.zero_points, np.int64).reshape(shape)
    scale = np.array(attrs.scales, np.float32).reshape(shape)
    return (data.astype(np.int64) - zero).astype(np.float32) * scale


def program(attrs: DequantizeAttrs) -> Program:
    """The elementwise program of the operator for int8 with one scale."""
    return Program((Insn("Dequantize", DType.F32, (0,), attrs.scales[0], float(attrs.zero_points[0])),))


def _is_plain(node: NodeView) -> bool:
    return node.attrs.axis is None and node.inputs[0].type.dtype is DType.I8


def _params(node: NodeView) -> Params:
    return lower.params(program(node.attrs), [DType.I8])


def _permute(attrs: DequantizeAttrs, perm: tuple[int, ...], node: NodeView) -> DequantizeAttrs | None:
    axis = attrs.axis
    if isinstance(axis, tuple):
        axis = tuple(perm.index(a) for a in axis)
        if list(axis) != sorted(axis):
            return None  # the scales would need another order
    elif axis is not None:
        axis = perm.index(axis)
    return DequantizeAttrs(attrs.scales, attrs.zero_points, axis)


def _samples() -> Iterable[Sample]:
    yield Sample(DequantizeAttrs((0.02,), (0,)), (TensorType(DType.I8, (2, 5, 7, 19)),))
    yield Sample(DequantizeAttrs((0.05,), (-128,)), (TensorType(DType.I8, (1000,)),), name="zero point")


_ON_CPU = Tactic("elementwise", "ingot_elementwise_params", _params, when=_is_plain, numerics="exact")

SPEC = OpSpec(
    name="dequantize",
    attrs=DequantizeAttrs,
    infer=_infer,
    # Other forms are spelled out in elementwise functions by the pass fold_qdq.
    tactics=(_ON_CPU, on_cuda(_ON_CPU, lambda node: program(node.attrs))),
    samples=_samples,
    permute=_permute,
)
