"""ScatterND and TensorScatter: slices of a tensor replaced by (or combined with) updates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingot.kernels.concat.op import concat
from ingot.kernels.expand.op import expand
from ingot.kernels.gather.op import require_indices
from ingot.kernels.scatter_nd.boxes import find_box, replace_box
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

from .cuda import on_cuda

REDUCTIONS = ("none", "add", "mul", "max", "min")
"""In the order of ``ingot_scatter_reduction``."""


@dataclass(frozen=True, slots=True)
class ScatterNdAttrs:
    """How an update joins what is there."""

    reduction: str = "none"


def require_scatter(what: str, reduction: str, inputs: Sequence[TensorType | None]) -> None:
    """Unsupported unless types and reduction go together."""
    data, indices, updates = inputs
    require_indices(what, indices)
    if reduction not in REDUCTIONS:
        raise Unsupported(f"{what} with reduction {reduction!r}", " or ".join(REDUCTIONS))
    if updates.dtype is not data.dtype:
        raise Unsupported(f"{what} of {updates} into {data}", "updates of the data's type")


def can_combine(node: NodeView) -> bool:
    """Whether the kernels have the reduction for the element type; replacing works for all."""
    dtype = node.inputs[0].type.dtype
    return node.attrs.reduction == "none" or dtype not in (DType.F16, DType.BF16, DType.BOOL)


def _infer(attrs: ScatterNdAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    data, indices, updates = inputs
    require_scatter("scatter_nd", attrs.reduction, inputs)
    tuple_size = indices.shape[-1] if indices.rank else 0
    if not 1 <= tuple_size <= data.rank or updates.shape != indices.shape[:-1] + data.shape[tuple_size:]:
        raise Unsupported(f"scatter_nd of {updates} into {data} at {indices}", "an update for each index tuple")
    return (data,)


def _samples() -> Iterable[Sample]:
    x, indices = TensorType(DType.F32, (4, 5, 3)), np.array([[0, -1], [2, 3], [0, 4]])
    for reduction in REDUCTIONS:
        yield Sample(ScatterNdAttrs(reduction), (x, indices, TensorType(DType.F32, (3, 3))), name=reduction)
    i64 = TensorType(DType.I64, (7,))
    yield Sample(ScatterNdAttrs("add"), (i64, np.array([[6], [6]], np.int32), TensorType(DType.I64, (2,))), name="i64")


def _extents(node: NodeView) -> tuple[int, int, int]:
    """Index tuples, slices of the data, elements of a slice."""
    data, indices, _ = (value.type for value in node.inputs)
    size = indices.shape[-1]
    return math.prod(indices.shape[:-1]), math.prod(data.shape[:size]), math.prod(data.shape[size:])


_ON_CPU = Tactic(
    kernel="scatter_nd",
    params_type="ingot_scatter_nd_params",
    params=lambda node: {"reduction": REDUCTIONS.index(node.attrs.reduction)},
    when=can_combine,
    inplace=(0,),
    numerics="exact",
)

SPEC = OpSpec(
    name="scatter_nd",
    attrs=ScatterNdAttrs,
    infer=_infer,
    tactics=(_ON_CPU, on_cuda(_ON_CPU, REDUCTIONS, _extents)),
    samples=_samples,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)


@onnx_op("ScatterND")
def _scatter_nd(b: Builder) -> Any:
    data, indices, updates = (b.input(i) for i in range(3))
    reduction = b.attr("reduction", "none")
    if reduction == "none" and indices.data is not None and indices.type.rank and indices.type.shape[-1]:
        _infer(ScatterNdAttrs(), (data.type, indices.type, updates.type))
        box = find_box(indices.data, data.type.shape)
        if box is not None:
            shape = (*map(len, box), *data.type.shape[len(box) :])
            return replace_box(b, data, b.reshape(updates, shape), box)
    return b.emit("scatter_nd", ScatterNdAttrs(reduction), [data, indices, updates])[0]


@onnx_op("TensorScatter")
def _tensor_scatter(b: Builder) -> Any:
    """A cache with new rows at a place of its own for each batch entry: index pairs (block, row), made at run time."""
    cache, updates, start = (b.input(i) for i in range(3))
    axis = normal_axis(b.attr("axis", -2), cache.type.rank)
    mode = b.attr("mode", "linear")
    if axis == 0 or mode not in ("linear", "circular"):
        raise Unsupported(
            f"TensorScatter along axis {axis} in mode {mode!r}", "an axis behind the batch, linear or circular"
        )
    batch, rows, count = cache.type.shape[0], cache.type.shape[axis], updates.type.shape[axis]
    before, behind = math.prod(cache.type.shape[1:axis]), math.prod(cache.type.shape[axis + 1 :])
    place = b.constant(np.arange(count, dtype=np.int64))
    if start is not None:
        place = b.elementwise("Add", b.reshape(b.cast(start, DType.I64), (batch, 1, 1)), place)
    if mode == "circular":
        place = b.elementwise("Mod", place, b.constant(np.int64(rows)))
    shape = (batch, before, count)
    block = np.broadcast_to(np.arange(batch * before, dtype=np.int64).reshape(batch, before, 1), shape)
    pairs = [b.constant(np.ascontiguousarray(block)), expand(b, place, shape)]
    indices = concat(b, [b.reshape(x, (batch * before, count, 1)) for x in pairs], 2)
    data, new = (b.reshape(x, (batch * before, n, behind)) for x, n in ((cache, rows), (updates, count)))
    return b.reshape(b.emit("scatter_nd", ScatterNdAttrs(), [data, indices, new])[0], cache.type.shape)
