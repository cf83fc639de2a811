"""Reshape and the ONNX operators that only give other extents to the same elements.

A reshape never runs: its one tactic has the kernel ``""``, which tells the builder to make the output an alias of
the input's buffer (a dense tensor has the same bytes whatever its shape).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingot.kernels.common.quantized import carry
from ingot.kernels.reshape import col2im, einsum, static  # noqa: F401  their importers register themselves
from ingot.kernels.spec import (
    Builder,
    DType,
    Half,
    OpSpec,
    Sample,
    Tactic,
    TensorType,
    Unsupported,
    normal_axis,
    onnx_op,
)


@dataclass(frozen=True, slots=True)
class ReshapeAttrs:
    """The shape of the result, every extent given."""

    shape: tuple[int, ...]


def _infer(attrs: ReshapeAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    (x,) = inputs
    if math.prod(attrs.shape) != x.count or min(attrs.shape, default=0) < 0:
        raise Unsupported(f"reshape of {x} to {attrs.shape}", f"a shape of {x.count} elements")
    return (TensorType(x.dtype, attrs.shape),)


def _samples() -> Iterable[Sample]:
    yield Sample(ReshapeAttrs((6, 4)), (TensorType(DType.F32, (2, 3, 4)),))
    yield Sample(ReshapeAttrs(()), (TensorType(DType.I64, (1, 1)),), name="to_scalar")


SPEC = OpSpec(
    name="reshape",
    attrs=ReshapeAttrs,
    infer=_infer,
    tactics=(Tactic(kernel="", inplace=(0,), numerics="exact"),),
    samples=_samples,
    quantize=carry("reshape"),
    half=Half(operands=(0,), moves=True),
)


@onnx_op("Reshape")
def _reshape(b: Builder) -> Any:
    x = b.input(0)
    old = x.type.shape
    wanted = b.attr("shape") if b.opset < 5 else [int(n) for n in b.const(1).ravel()]
    if not b.attr("allowzero", 0):
        if any(n == 0 and i >= len(old) for i, n in enumerate(wanted)):
            raise Unsupported(f"Reshape to {wanted}: 0 copies an extent that {old} does not have", "the extent itself")
        wanted = [old[i] if n == 0 else n for i, n in enumerate(wanted)]
    if wanted.count(-1) > 1 or min(wanted, default=0) < -1:
        raise Unsupported(f"Reshape to {wanted}", "at most one -1")
    known = math.prod(n for n in wanted if n != -1)
    if -1 in wanted and (known == 0 or x.type.count % known):
        raise Unsupported(f"Reshape of {old} to {wanted}: no extent fits the -1", "a divisor of the element count")
    return b.reshape(x, [x.type.count // known if n == -1 else n for n in wanted])


@onnx_op("Flatten")
def _flatten(b: Builder) -> Any:
    x = b.input(0)
    axis, rank = b.attr("axis", 1), x.type.rank
    axis = rank if axis == rank else normal_axis(axis, rank)
    return b.reshape(x, (math.prod(x.type.shape[:axis]), math.prod(x.type.shape[axis:])))


def _axes(b: Builder) -> list[int] | None:
    """The axes of Squeeze and Unsqueeze: an attribute up to opset 12, an input from 13 on."""
    if b.opset < 13:
        return b.attr("axes")
    axes = b.const(1)
    return None if axes is None else [int(a) for a in axes.ravel()]


@onnx_op("Squeeze")
def _squeeze(b: Builder) -> Any:
    x, axes = b.input(0), _axes(b)
    shape = x.type.shape
    gone = {a for a, n in enumerate(shape) if n == 1} if axes is None else {normal_axis(a, len(shape)) for a in axes}
    if any(shape[a] != 1 for a in gone):
        raise Unsupported(f"Squeeze of {shape} along {sorted(gone)}", "axes of extent 1")
    return b.reshape(x, [n for a, n in enumerate(shape) if a not in gone])


@onnx_op("Unsqueeze")
def _unsqueeze(b: Builder) -> Any:
    x, axes = b.input(0), _axes(b)
    if axes is None:
        raise Unsupported("Unsqueeze without axes", "axes as a constant")
    rank = x.type.rank + len(axes)
    new = {normal_axis(a, rank) for a in axes}
    if len(new) != len(axes):
        raise Unsupported(f"Unsqueeze with axes {axes}", "each axis once")
    old = iter(x.type.shape)
    return b.reshape(x, [1 if a in new else next(old) for a in range(rank)])
