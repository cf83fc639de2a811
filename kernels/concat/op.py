"""Concat. The plan may let the producers write into rows of the result; then this step disappears."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingot.kernels.common.quantized import join
from ingot.kernels.spec import (
    Builder,
    DType,
    Half,
    NodeView,
    OpSpec,
    Sample,
    Tactic,
    TensorType,
    Unsupported,
    normal_axis,
    onnx_op,
)

from .cuda import on_cuda

INPUTS_MAX = 32
"""Inputs that the kernel takes; more become a tree."""


@dataclass(frozen=True, slots=True)
class ConcatAttrs:
    """The axis along which the inputs follow one another, counted from the front."""

    axis: int


def _infer(attrs: ConcatAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    first = inputs[0]
    for x in inputs[1:]:
        same = x is not None and x.dtype is first.dtype and x.rank == first.rank
        if not same or any(n != m for a, (n, m) in enumerate(zip(x.shape, first.shape)) if a != attrs.axis):
            raise Unsupported(f"concat of {first} and {x} along axis {attrs.axis}", "equal types and other extents")
    total = sum(x.shape[attrs.axis] for x in inputs)
    return (TensorType(first.dtype, (*first.shape[: attrs.axis], total, *first.shape[attrs.axis + 1 :])),)


def _permute(attrs: ConcatAttrs, perm: tuple[int, ...], node: NodeView) -> ConcatAttrs:
    return ConcatAttrs(perm.index(attrs.axis))


def _samples() -> Iterable[Sample]:
    def f32(*shape: int) -> TensorType:
        return TensorType(DType.F32, shape)

    yield Sample(ConcatAttrs(3), (f32(2, 3, 4, 5), f32(2, 3, 4, 16), f32(2, 3, 4, 1)), name="last_axis")
    yield Sample(ConcatAttrs(1), (f32(2, 3, 4, 5), f32(2, 1, 4, 5)))
    for dtype in (DType.I8, DType.F16, DType.F32, DType.F64):
        half = TensorType(dtype, (3, 50, 37, 1))
        yield Sample(ConcatAttrs(3), (half, half), name=f"pairs of {dtype.name}")
    yield Sample(ConcatAttrs(0), (f32(3), f32(0), f32(5)), name="empty_piece")
    for dtype in (DType.I8, DType.F16, DType.F32, DType.I64):
        pair = TensorType(dtype, (3, 5, 7, 1))
        yield Sample(ConcatAttrs(3), (pair, pair), name=f"in_turns_{dtype.name.lower()}")
    yield Sample(ConcatAttrs(0), tuple(TensorType(DType.U8, (n, 3)) for n in range(INPUTS_MAX)), name="many")


_ON_CPU = Tactic(
    kernel="concat",
    params_type="ingot_concat_params",
    params=lambda node: {"axis": node.attrs.axis},
    when=lambda node: len(node.inputs) <= INPUTS_MAX,
    pitched_inputs=tuple(range(INPUTS_MAX)),
    pitched_outputs=(0,),
    numerics="exact",
)

SPEC = OpSpec(
    name="concat",
    attrs=ConcatAttrs,
    infer=_infer,
    tactics=(_ON_CPU, on_cuda(_ON_CPU)),
    samples=_samples,
    permute=_permute,
    quantize=join("concat"),
    half=Half(moves=True),
)


def concat(b: Builder, pieces: Sequence[Any], axis: int) -> Any:
    """The pieces joined along ``axis``; empty ones are dropped, more than the kernel takes are joined in a tree."""
    pieces = [p for p in pieces if p.type.shape[axis]] or list(pieces[:1])
    while len(pieces) > INPUTS_MAX:
        groups = [pieces[i : i + INPUTS_MAX] for i in range(0, len(pieces), INPUTS_MAX)]
        pieces = [concat(b, group, axis) for group in groups]
    return pieces[0] if len(pieces) == 1 else b.emit("concat", ConcatAttrs(axis), pieces)[0]


@onnx_op("Concat")
def _concat(b: Builder) -> Any:
    pieces = [b.input(i) for i in range(b.input_count)]
    axis = normal_axis(b.attr("axis", 1), pieces[0].type.rank)
    if any(p.type.rank != pieces[0].type.rank for p in pieces):
        raise Unsupported(f"Concat of {' and '.join(str(p.type) for p in pieces)}", "inputs of one rank")
    return concat(b, pieces, axis)
