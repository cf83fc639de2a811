"""ScatterElements (and Scatter, its old name): elements replaced by (or combined with) updates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingot.kernels.scatter_nd.cuda import on_cuda
from ingot.kernels.scatter_nd.op import REDUCTIONS, can_combine, require_scatter
from ingot.kernels.spec import (
    Builder,
    DType,
    NodeView,
    OpSpec,
    Sample,
    Tactic,
    TensorType,
    Unsupported,
    normal_axis,
    onnx_op,
)


@dataclass(frozen=True, slots=True)
class ScatterElementsAttrs:
    """The axis that the indices run along, and how an update joins what is there."""

    axis: int
    reduction: str = "none"


def _infer(attrs: ScatterElementsAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    data, indices, updates = inputs
    require_scatter("scatter_elements", attrs.reduction, inputs)
    pairs = enumerate(zip(indices.shape, data.shape))
    fits = indices.rank == data.rank and all(i <= d for a, (i, d) in pairs if a != attrs.axis)
    if not fits or indices.shape != updates.shape:
        raise Unsupported(f"scatter_elements of {updates} into {data} at {indices}", "an index for each update")
    return (data,)


def _permute(attrs: ScatterElementsAttrs, perm: tuple[int, ...], node: NodeView) -> ScatterElementsAttrs | None:
    if attrs.reduction == "none":
        return None  # of several updates to one place the last stays, and a transpose changes which is the last
    return ScatterElementsAttrs(perm.index(attrs.axis), attrs.reduction)


def _samples() -> Iterable[Sample]:
    x, indices = TensorType(DType.F32, (3, 4, 5)), np.array([[[0, -1, 3], [2, 2, 1]], [[1, 1, -4], [0, 3, 2]]])
    for reduction in REDUCTIONS:
        yield Sample(ScatterElementsAttrs(1, reduction), (x, indices, TensorType(DType.F32, (2, 2, 3))), name=reduction)
    last = np.array([[[4, -5]]], np.int32)
    u8, one = TensorType(DType.U8, (3, 4, 5)), TensorType(DType.U8, (1, 1, 2))
    yield Sample(ScatterElementsAttrs(2), (u8, last, one), name="last_axis")


def _extents(node: NodeView) -> tuple[int, int, int]:
    """Items, places, width of an item: all are elements."""
    return node.inputs[1].type.count, node.inputs[0].type.count, 1


_ON_CPU = Tactic(
    kernel="scatter_elements",
    params_type="ingot_scatter_elements_params",
    params=lambda node: {"axis": node.attrs.axis, "reduction": REDUCTIONS.index(node.attrs.reduction)},
    when=can_combine,
    inplace=(0,),
    numerics="exact",
)

SPEC = OpSpec(
    name="scatter_elements",
    attrs=ScatterElementsAttrs,
    infer=_infer,
    tactics=(_ON_CPU, on_cuda(_ON_CPU, REDUCTIONS, _extents)),
    samples=_samples,
    permute=_permute,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)


@onnx_op("ScatterElements", "Scatter")
def _scatter_elements(b: Builder) -> Any:
    data = b.input(0)
    attrs = ScatterElementsAttrs(normal_axis(b.attr("axis", 0), data.type.rank), b.attr("reduction", "none"))
    return b.emit("scatter_elements", attrs, [data, b.input(1), b.input(2)])[0]
