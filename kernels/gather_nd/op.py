"""GatherND: each tuple in the last axis of the indices names a slice of the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingot.kernels.gather.op import require_indices
from ingot.kernels.spec import Builder, DType, OpSpec, Sample, Tactic, TensorType, Unsupported, onnx_op
from ingot.kernels.strided_copy.cuda import moved_by


@dataclass(frozen=True, slots=True)
class GatherNdAttrs:
    """Leading axes that data and indices share."""

    batch_dims: int = 0


def _infer(attrs: GatherNdAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    data, indices = inputs
    require_indices("gather_nd", indices)
    batch = attrs.batch_dims
    fits = indices.rank > batch and 1 <= indices.shape[-1] <= data.rank - batch
    if not fits or indices.shape[:batch] != data.shape[:batch]:
        raise Unsupported(f"gather_nd of {data} by {indices} with {batch} batch axes", "tuples of 1 to rank indices")
    return (TensorType(data.dtype, indices.shape[:-1] + data.shape[batch + indices.shape[-1] :]),)


def _samples() -> Iterable[Sample]:
    x = TensorType(DType.F32, (3, 4, 5))
    yield Sample(GatherNdAttrs(), (x, np.array([[0, -1], [2, 3]])), name="slices")
    yield Sample(GatherNdAttrs(), (x, np.array([[[0, 1, 4]], [[-3, -4, -5]]], np.int32)), name="elements")
    yield Sample(GatherNdAttrs(1), (x, np.array([[[1]], [[3]], [[-1]]])), name="batch")


_ON_CPU = Tactic(
    kernel="gather_nd",
    params_type="ingot_gather_nd_params",
    params=lambda node: {"batch_dims": node.attrs.batch_dims},
    numerics="exact",
)

SPEC = OpSpec(
    name="gather_nd",
    attrs=GatherNdAttrs,
    infer=_infer,
    tactics=(_ON_CPU, moved_by(_ON_CPU, "gather_nd", "gather_nd/gather_nd.cu", 0.7)),
    samples=_samples,
)


@onnx_op("GatherND")
def _gather_nd(b: Builder) -> Any:
    return b.emit("gather_nd", GatherNdAttrs(b.attr("batch_dims", 0)), [b.input(0), b.input(1)])[0]
