"""Expand (broadcast made real) and Tile, which is an expand between two reshapes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingot.kernels.common.quantized import carry
from ingot.kernels.spec import (
    Builder,
    DType,
    Half,
    NodeView,
    OpSpec,
    Params,
    Sample,
    TensorType,
    Unsupported,
    broadcast_shape,
    onnx_op,
)
from ingot.kernels.strided_copy.views import BROADCAST, strided_copies, view


@dataclass(frozen=True, slots=True)
class ExpandAttrs:
    """The shape of the result; the input broadcasts to it as in NumPy."""

    shape: tuple[int, ...]


def _infer(attrs: ExpandAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    (x,) = inputs
    if min(attrs.shape, default=0) < 0 or broadcast_shape(x.shape, attrs.shape) != attrs.shape:
        raise Unsupported(f"expand of {x} to {attrs.shape}", "a shape that the input broadcasts to")
    return (TensorType(x.dtype, attrs.shape),)


def _permute(attrs: ExpandAttrs, perm: tuple[int, ...], node: NodeView) -> ExpandAttrs | None:
    if node.inputs[0].type.rank != len(attrs.shape):
        return None
    return ExpandAttrs(tuple(attrs.shape[p] for p in perm))


def _params(node: NodeView) -> Params:
    old, new = node.inputs[0].type.shape, node.attrs.shape
    lead = len(new) - len(old)
    return view([BROADCAST if a < lead or old[a - lead] != new[a] else a - lead for a in range(len(new))])


def _samples() -> Iterable[Sample]:
    yield Sample(ExpandAttrs((2, 3, 4, 5)), (TensorType(DType.F32, (3, 1, 5)),))
    yield Sample(ExpandAttrs((4, 9)), (TensorType(DType.I64, (4, 1)),), name="last_axis")
    yield Sample(ExpandAttrs((7, 6)), (TensorType(DType.U8, ()),), name="scalar")


SPEC = OpSpec(
    name="expand",
    attrs=ExpandAttrs,
    infer=_infer,
    tactics=strided_copies(_params),
    samples=_samples,
    permute=_permute,
    quantize=carry("expand"),
    half=Half(operands=(0,), moves=True),
)


def expand(b: Builder, x: Any, shape: Sequence[int]) -> Any:
    """``x`` broadcast to ``shape``; nothing is emitted where that is no change."""
    shape = tuple(shape)
    return x if x.type.shape == shape else b.emit("expand", ExpandAttrs(shape), [x])[0]


@onnx_op("Expand")
def _expand(b: Builder) -> Any:
    x = b.input(0)
    return expand(b, x, broadcast_shape(x.type.shape, tuple(int(n) for n in b.const(1).ravel())))


@onnx_op("Tile")
def _tile(b: Builder) -> Any:
    x = b.input(0)
    repeats = [int(n) for n in b.const(1).ravel()]
    if len(repeats) != x.type.rank or min(repeats, default=0) < 0:
        raise Unsupported(f"Tile of {x.type} by {repeats}", "a repeat count for each axis")
    result = [n * r for n, r in zip(x.type.shape, repeats)]
    # axis by axis from the last: [before, n, behind] -> [before, r, n, behind], so that any rank will do
    for axis in reversed(range(len(repeats))):
        shape = x.type.shape
        if repeats[axis] != 1:
            before, behind = math.prod(shape[:axis]), math.prod(shape[axis:])
            x = expand(b, b.reshape(x, (before, 1, behind)), (before, repeats[axis], behind))
            x = b.reshape(x, (*shape[:axis], shape[axis] * repeats[axis], *shape[axis + 1 :]))
    return b.reshape(x, result)
