"""Gather, and the ONNX operators that are arithmetic on indices: OneHot and ReverseSequence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingot.kernels.common.quantized import carry
from ingot.kernels.concat.op import concat
from ingot.kernels.slice.op import slice_ranges
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
from ingot.kernels.strided_copy.cuda import moved_by

INDEX_TYPES = (DType.I32, DType.I64)
RUN_MEAN = 16
"""Runs of indices shorter than this on average are not worth a slice each."""
RUNS_MAX = 16
DEPTH_MAX = 1 << 24
"""Classes of a OneHot: a small foreign file must not ask for any amount of memory."""


@dataclass(frozen=True, slots=True)
class GatherAttrs:
    """The axis of the data that the indices choose from, counted from the front."""

    axis: int


def require_indices(what: str, indices: TensorType) -> None:
    """Unsupported unless the indices are int32 or int64."""
    if indices.dtype not in INDEX_TYPES:
        raise Unsupported(f"{what} with indices of type {indices.dtype.name.lower()}", "int32 or int64 indices")


def _infer(attrs: GatherAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    data, indices = inputs
    require_indices("gather", indices)
    shape = (*data.shape[: attrs.axis], *indices.shape, *data.shape[attrs.axis + 1 :])
    return (TensorType(data.dtype, shape),)


def _permute(attrs: GatherAttrs, perm: tuple[int, ...], node: NodeView) -> GatherAttrs | None:
    if node.inputs[1].type.rank != 1 or len(perm) == 1:
        return None  # the result has other axes than the data, or the indices would be transposed too
    return GatherAttrs(perm.index(attrs.axis))


def _samples() -> Iterable[Sample]:
    x = TensorType(DType.F32, (5, 7, 6))
    for axis in range(3):
        yield Sample(GatherAttrs(axis), (x, np.array([[3, -1, 0], [4, 4, -5]])), name=f"axis{axis}")
    yield Sample(GatherAttrs(1), (x, np.array(-2, np.int32)), name="scalar")
    yield Sample(GatherAttrs(0), (TensorType(DType.U8, (9,)), np.array([8, 0, 1])), name="bytes")


_ON_CPU = Tactic(
    kernel="gather",
    params_type="ingot_gather_params",
    params=lambda node: {"axis": node.attrs.axis},
    numerics="exact",
)

SPEC = OpSpec(
    name="gather",
    attrs=GatherAttrs,
    infer=_infer,
    tactics=(_ON_CPU, moved_by(_ON_CPU, "gather", "gather/gather.cu", 0.7)),
    samples=_samples,
    permute=_permute,
    quantize=carry("gather"),
    half=Half(operands=(0,), moves=True),
)


def _runs(indices: np.ndarray) -> list[range] | None:
    """The indices cut into evenly spaced runs, from the front as long as they go; ``None`` for too many to bother."""
    steps = np.diff(indices)
    runs, start = [], 0
    while start < len(indices):
        if len(runs) == RUNS_MAX:
            return None
        step = int(steps[start]) if start < len(steps) else 1
        breaks = np.flatnonzero(steps[start:] != step)
        end = start + int(breaks[0]) + 1 if len(breaks) else len(indices)
        if step == 0:
            step, end = 1, start + 1
        first = int(indices[start])
        runs.append(range(first, first + step * (end - start), step))
        start = end
    return runs


def gather(b: Builder, data: Any, indices: Any, axis: int) -> Any:
    """``data`` at ``indices`` along ``axis``; constant indices that are one or a few long runs become slices."""
    extent = data.type.shape[axis]
    if indices.data is None:
        return b.emit("gather", GatherAttrs(axis), [data, indices])[0]
    chosen = indices.data.astype(np.int64).ravel()
    if chosen.size and (chosen.min() < -extent or chosen.max() >= extent):
        raise Unsupported(f"indices out of range for extent {extent}", f"indices in [{-extent}, {extent - 1}]")
    runs = _runs(np.where(chosen < 0, chosen + extent, chosen))
    if not runs or (len(runs) > 1 and len(chosen) < RUN_MEAN * len(runs)):
        return b.emit("gather", GatherAttrs(axis), [data, indices])[0]
    joined = concat(b, [slice_ranges(b, data, {axis: run}) for run in runs], axis)
    return b.reshape(joined, (*data.type.shape[:axis], *indices.type.shape, *data.type.shape[axis + 1 :]))


@onnx_op("Gather")
def _gather(b: Builder) -> Any:
    data, indices = b.input(0), b.input(1)
    return gather(b, data, indices, normal_axis(b.attr("axis", 0), data.type.rank))


@onnx_op("OneHot")
def _one_hot(b: Builder) -> Any:
    """``where(index == 0..depth-1, on, off)``: one pass over the result, fused with what follows."""
    indices, depth, values = b.input(0), int(b.const(1).ravel()[0]), b.input(2)
    rank = indices.type.rank + 1
    axis = normal_axis(b.attr("axis", -1), rank)
    if not 1 <= depth <= DEPTH_MAX or values.type.shape != (2,):
        raise Unsupported(
            f"OneHot of depth {depth} with values {values.type}", f"a depth up to {DEPTH_MAX}, two values"
        )
    indices = b.cast(indices, DType.I64)
    negative = b.elementwise("Less", indices, b.constant(np.int64(0)))
    wrapped = b.elementwise("Add", indices, b.constant(np.int64(depth)))
    indices = b.elementwise("Where", negative, wrapped, indices)
    shape = indices.type.shape
    indices = b.reshape(indices, (*shape[:axis], 1, *shape[axis:]))
    classes = np.arange(depth, dtype=np.int64).reshape((depth,) + (1,) * (rank - 1 - axis))
    off, on = (b.reshape(slice_ranges(b, values, {0: range(i, i + 1)}), ()) for i in (0, 1))
    return b.elementwise("Where", b.elementwise("Equal", indices, b.constant(classes)), on, off)


@onnx_op("ReverseSequence")
def _reverse_sequence(b: Builder) -> Any:
    """Time and batch joined to one axis; each row of it is gathered from where the reversed sequence has it."""
    x, lengths = b.input(0), b.cast(b.input(1), DType.I64)
    batch_axis, time_axis = b.attr("batch_axis", 1), b.attr("time_axis", 0)
    if {batch_axis, time_axis} != {0, 1}:
        raise Unsupported(f"ReverseSequence over axes {time_axis} and {batch_axis}", "axes 0 and 1")
    shape = x.type.shape
    batch_first = batch_axis == 0
    batch, time = (shape[0], shape[1]) if batch_first else (shape[1], shape[0])
    steps = np.arange(time, dtype=np.int64).reshape((1, time) if batch_first else (time, 1))
    rows = np.arange(batch, dtype=np.int64).reshape((batch, 1) if batch_first else (1, batch))
    lengths = b.reshape(lengths, rows.shape)
    inside = b.elementwise("Less", b.constant(steps), lengths)
    mirrored = b.elementwise("Sub", b.elementwise("Sub", lengths, b.constant(np.int64(1))), b.constant(steps))
    step = b.elementwise("Where", inside, mirrored, b.constant(steps))
    if batch_first:
        index = b.elementwise("Add", step, b.constant(rows * time))
    else:
        index = b.elementwise("Add", b.elementwise("Mul", step, b.constant(np.int64(batch))), b.constant(rows))
    joined = b.reshape(x, (batch * time, *shape[2:]))
    return b.reshape(gather(b, joined, b.reshape(index, (batch * time,)), 0), shape)
