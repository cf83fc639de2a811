"""GatherElements: an index for each element of the result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingot.kernels.gather.op import require_indices
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
from ingot.kernels.strided_copy.cuda import moved_by


@dataclass(frozen=True, slots=True)
class GatherElementsAttrs:
    """The axis that the indices run along, counted from the front."""

    axis: int


def _infer(attrs: GatherElementsAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    data, indices = inputs
    require_indices("gather_elements", indices)
    pairs = enumerate(zip(indices.shape, data.shape))
    if indices.rank != data.rank or any(i > d for a, (i, d) in pairs if a != attrs.axis):
        raise Unsupported(f"gather_elements of {data} by {indices}", "indices no longer than the data off the axis")
    return (TensorType(data.dtype, indices.shape),)


def _permute(attrs: GatherElementsAttrs, perm: tuple[int, ...], node: NodeView) -> GatherElementsAttrs:
    return GatherElementsAttrs(perm.index(attrs.axis))


def _samples() -> Iterable[Sample]:
    x = TensorType(DType.F32, (3, 4, 5))
    yield Sample(GatherElementsAttrs(1), (x, np.array([[[0, -1, 3], [2, 2, 1]], [[1, 1, -4], [0, 3, 2]]])))
    yield Sample(GatherElementsAttrs(2), (x, np.array([[[4, -5]], [[0, 1]]], np.int32)), name="last_axis")


_ON_CPU = Tactic(
    kernel="gather_elements",
    params_type="ingot_gather_elements_params",
    params=lambda node: {"axis": node.attrs.axis},
    numerics="exact",
)

SPEC = OpSpec(
    name="gather_elements",
    attrs=GatherElementsAttrs,
    infer=_infer,
    tactics=(_ON_CPU, moved_by(_ON_CPU, "gather_elements", "gather_elements/gather_elements.cu", 0.7)),
    samples=_samples,
    permute=_permute,
)


@onnx_op("GatherElements")
def _gather_elements(b: Builder) -> Any:
    data = b.input(0)
    axis = normal_axis(b.attr("axis", 0), data.type.rank)
    return b.emit("gather_elements", GatherElementsAttrs(axis), [data, b.input(1)])[0]
