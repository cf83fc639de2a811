"""Slice with any steps; Split is several slices."""

from __future__ import annotations

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
    Sample,
    TensorType,
    Unsupported,
    normal_axis,
    onnx_op,
)
from ingot.kernels.strided_copy.views import strided_copies, view


@dataclass(frozen=True, slots=True)
class SliceAttrs:
    """Element ``i`` of axis ``a`` of the result is element ``starts[a] + i * steps[a]`` of the input."""

    starts: tuple[int, ...]
    steps: tuple[int, ...]
    shape: tuple[int, ...]


def _infer(attrs: SliceAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    (x,) = inputs
    if not len(attrs.starts) == len(attrs.steps) == len(attrs.shape) == x.rank:
        raise Unsupported(f"slice of {x} by {attrs}", "a start, a step and an extent for each axis")
    for start, step, count, extent in zip(attrs.starts, attrs.steps, attrs.shape, x.shape):
        ends = (start, start + step * (count - 1))
        if count < 0 or (count > 0 and (min(ends) < 0 or max(ends) >= extent)):
            raise Unsupported(f"slice of {x} by {attrs}", "a slice inside the tensor")
    return (TensorType(x.dtype, attrs.shape),)


def _permute(attrs: SliceAttrs, perm: tuple[int, ...], node: NodeView) -> SliceAttrs:
    return SliceAttrs(*(tuple(part[p] for p in perm) for part in (attrs.starts, attrs.steps, attrs.shape)))


def _params(node: NodeView) -> dict[str, Any]:
    attrs: SliceAttrs = node.attrs
    return view(range(len(attrs.shape)), attrs.starts, attrs.steps)


def _samples() -> Iterable[Sample]:
    x = TensorType(DType.F32, (2, 7, 6, 20))
    yield Sample(SliceAttrs((0, 2, 1, 0), (1, 1, 1, 1), (2, 4, 5, 20)), (x,))
    yield Sample(SliceAttrs((0, 0, 0, 3), (1, 1, 1, 1), (2, 7, 6, 16)), (x,), name="last_axis")
    yield Sample(SliceAttrs((1, 6, 5, 19), (-1, -2, -1, -3), (2, 3, 6, 7)), (x,), name="negative")
    yield Sample(SliceAttrs((0, 0, 0, 1), (1, 1, 2, 2), (2, 7, 3, 10)), (x,), name="strided")
    yield Sample(SliceAttrs((0,), (1,), (0,)), (TensorType(DType.I64, (3,)),), name="empty")


SPEC = OpSpec(
    name="slice",
    attrs=SliceAttrs,
    infer=_infer,
    tactics=strided_copies(_params),
    samples=_samples,
    permute=_permute,
    quantize=carry("slice"),
    half=Half(operands=(0,), moves=True),
)


def slice_ranges(b: Builder, x: Any, ranges: dict[int, range]) -> Any:
    """``x`` with axis ``a`` cut to the indices ``ranges[a]``; axes not named stay whole."""
    whole = [ranges.get(a, range(n)) for a, n in enumerate(x.type.shape)]
    if all(r == range(n) for r, n in zip(whole, x.type.shape)):
        return x
    starts = tuple(r.start if len(r) else 0 for r in whole)
    return b.emit("slice", SliceAttrs(starts, tuple(r.step for r in whole), tuple(map(len, whole))), [x])[0]


@onnx_op("Slice")
def _slice(b: Builder) -> Any:
    x = b.input(0)
    if b.opset < 10:
        starts, ends, axes, steps = b.attr("starts"), b.attr("ends"), b.attr("axes"), None
    else:
        parts = [b.const(i) for i in range(1, 5)]
        starts, ends, axes, steps = (None if p is None else [int(v) for v in p.ravel()] for p in parts)
    if starts is None or ends is None:
        raise Unsupported("Slice without starts and ends", "starts and ends as constants")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise Unsupported("Slice with starts, ends, axes and steps that do not go together", "equally many, no step 0")
    ranges = {}
    for start, end, axis, step in zip(starts, ends, axes, steps):
        axis = normal_axis(axis, x.type.rank)
        # Python's slices clamp as ONNX asks, negative steps included
        ranges[axis] = range(*slice(start, end, step).indices(x.type.shape[axis]))
    return slice_ranges(b, x, ranges)


@onnx_op("Split")
def _split(b: Builder) -> Any:
    x = b.input(0)
    axis = normal_axis(b.attr("axis", 0), x.type.rank)
    extent = x.type.shape[axis]
    sizes = b.attr("split") if b.opset < 13 else b.const(1)
    if sizes is None:
        count = b.attr("num_outputs", b.output_count)
        if count != b.output_count or (b.opset < 18 and extent % count):
            raise Unsupported(f"Split of extent {extent} into {count} pieces", "split sizes, one for each output")
        size = -(-extent // count)
        sizes = [max(0, min(size, extent - i * size)) for i in range(count)]
    sizes = [int(n) for n in sizes]
    if sum(sizes) != extent or min(sizes, default=0) < 0 or len(sizes) < b.output_count:
        raise Unsupported(f"Split of extent {extent} into {sizes}", "sizes that add up to the extent")
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [slice_ranges(b, x, {axis: range(end - size, end)}) for size, end in zip(sizes, ends)]
