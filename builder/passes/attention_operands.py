"""Attention reads q, k and v where they lie: parts of a product's rows, not what reshapes and transposes make of them.

What lies between is followed as an array's strides are; where a row's heads lie side by side, or rows at equal
distances, the operand becomes a slice along the last axis, which costs nothing where the kernel skips gaps.
"""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

from ingot.builder.ir import Node, Value
from ingot.builder.passes.permutation import groups
from ingot.builder.passes.rewrite import Sweep, is_op, op


@dataclasses.dataclass(frozen=True, slots=True)
class _Strides:
    """A value as elements of another one: ``strides`` of its axes, any of those of extent 1, from ``offset`` on."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> _Strides:
        return cls(shape, tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape))))

    def through(self, node: Node) -> _Strides | None:
        """The result of the node, whose operand this is; ``None`` when it has no strides."""
        shape = node.output.type.shape
        if is_op(node, "transpose"):
            return _Strides(shape, tuple(self.strides[axis] for axis in node.attrs.perm), self.offset)
        if is_op(node, "slice"):
            moved = sum(start * stride for start, stride in zip(node.attrs.starts, self.strides))
            strides = tuple(step * stride for step, stride in zip(node.attrs.steps, self.strides))
            return _Strides(shape, strides, self.offset + moved)
        strides = [0] * len(shape)
        for sources, targets in groups(self.shape, shape):
            if any(self.strides[a] != self.shape[b] * self.strides[b] for a, b in pairwise(sources)):
                return None
            stride = self.strides[sources[-1]]
            for axis in reversed(targets):
                strides[axis] = stride
                stride *= shape[axis]
        return _Strides(shape, tuple(strides), self.offset)


def attention_operands(sweep: Sweep, node: Node) -> tuple[str, Value] | None:
    """A rule's body: attention with the operands that can be read where they come from."""
    if not is_op(node, "attention"):
        return None
    inputs, rows_first, heads = list(node.inputs), list(node.attrs.rows_first), node.attrs.heads
    for index in range(3):
        found = _in_place(sweep, inputs[index], rows_first[index])
        if found is None:
            continue
        if index == 0 and found.type.rank == 3:
            heads = inputs[0].type.shape[2 if rows_first[0] else 1]
        inputs[index], rows_first[index] = found, True
    if inputs == node.inputs:
        return None
    attrs = dataclasses.replace(node.attrs, rows_first=tuple(rows_first), heads=heads)
    return "Attention of operands in place", sweep.emit("attention", attrs, inputs, outputs=node.outputs)


def _in_place(sweep: Sweep, value: Value, rows_first: bool) -> Value | None:
    """The operand as [B, L, H * D], else as [B, L, H, D], cut out of the rows of the first value that has such."""
    if value.type.rank != 4 or 0 in value.type.shape:
        return None
    chain: list[Node] = []
    base = value
    while is_op(base.producer, "reshape", "transpose", "slice"):
        chain.insert(0, base.producer)
        base = base.producer.inputs[0]
    while chain:
        place: _Strides | None = _Strides.of(base.type.shape)
        for step in chain:
            place = place and place.through(step)
        turned = any(is_op(step, "transpose") for step in chain)
        found = place and _rows(sweep, base, place, rows_first, turned)
        if found is not None:
            return found
        base = chain.pop(0).output
    return None


def _rows(sweep: Sweep, base: Value, place: _Strides, rows_first: bool, turned: bool) -> Value | None:
    order = (0, 1, 2, 3) if rows_first else (0, 2, 1, 3)
    shape = tuple(place.shape[axis] for axis in order)
    strides = tuple(place.strides[axis] for axis in order)
    batch, rows, heads, width = shape

    def lies(*steps: int) -> bool:
        return all(extent == 1 or stride == step for extent, stride, step in zip(shape, strides, steps))

    def cut(whole: tuple[int, ...], wide: int) -> Value | None:
        if place.offset + wide > whole[-1]:
            return None
        x = sweep.reshape(base, whole)
        if wide == whole[-1]:
            return x
        starts = (0,) * (len(whole) - 1) + (place.offset,)
        return sweep.emit("slice", op("slice").attrs(starts, (1,) * len(whole), (*whole[:-1], wide)), [x])

    pitch, rest = divmod(base.type.count, batch * rows)
    if not rest and lies(rows * pitch, pitch, width, 1):
        return cut((batch, rows, pitch), heads * width)
    pitch, rest = divmod(base.type.count, batch * rows * heads)
    if turned and not rest and lies(rows * heads * pitch, heads * pitch, pitch, 1):
        return cut((batch, rows, heads, pitch), width)
    return None
