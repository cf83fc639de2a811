"""CUDA kernels of strided views that are made for one shape: for copies so small that finding out where elements lie
takes longer than moving them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ingot.kernels.common.cuda import blocks_for
from ingot.kernels.spec import Launch, NodeView, Params, Tactic
from ingot.targets import Target

BROADCAST = 255
THREADS = 128
#: units of larger copies are worth a kernel that plans before it moves
MOST_UNITS = 1 << 18
#: channels of pixels that a thread can have four of
MOST_CHANNELS = 4
#: elements up to which it does not matter whether neighbours of the result are neighbours in the input
FEW = 1 << 18
#: of the peak of memory
EFFICIENCY = 0.8


@dataclass(frozen=True, slots=True)
class Step:
    """Rows and elements of the input from one step of a loop to the next."""

    rows: int
    columns: int

    def times(self, count: int) -> Step:
        return Step(self.rows * count, self.columns * count)


@dataclass(frozen=True, slots=True)
class Copy:
    """A view as loops over the axes of the result, outermost first, and where the first element lies."""

    size: int
    first: Step
    loops: tuple[tuple[int, Step], ...]

    @classmethod
    def of(cls, node: NodeView, params: Params) -> Copy | None:
        """Of a node with the parameters of ``strided_copy``; None when there is nothing to copy, or one element."""
        x, y = node.inputs[0].type, node.outputs[0].type
        if not x.rank or not y.rank or not x.count or not y.count:
            return None
        steps = [Step(math.prod(x.shape[axis + 1 : -1]), 0) for axis in range(x.rank - 1)] + [Step(0, 1)]
        starts = [step.times(start) for step, start in zip(steps, params["start"])]
        walked = [
            Step(0, 0) if axis == BROADCAST else steps[axis].times(step)
            for axis, step in zip(params["axis"], params["step"])
        ]
        first = Step(sum(s.rows for s in starts), sum(s.columns for s in starts))
        return cls(x.dtype.size, first, tuple(zip(y.shape, walked)))

    def numbers(self, rows: Sequence[tuple[int, Step]], last: Step) -> list[int]:
        """Template arguments from the step of the last axis on; neighbours of ``rows`` that can be are one loop."""
        joined: list[tuple[int, Step]] = []
        for extent, step in rows:
            if extent == 1:
                continue
            if joined and joined[-1][1] == step.times(extent):
                joined[-1] = (joined[-1][0] * extent, step)
            else:
                joined.append((extent, step))
        flat = [n for extent, step in reversed(joined) for n in (extent, step.rows, step.columns)]
        count = math.prod(extent for extent, _ in rows)
        return [last.rows, last.columns, self.first.rows, self.first.columns, count, *flat]

    @property
    def unit(self) -> int:
        """Bytes of a unit, when operands are aligned to it."""
        *rows, (count, last) = self.loops
        if last != Step(0, 1):
            return self.size
        columns = [count, self.first.columns, *(step.columns for _, step in rows)]
        return math.gcd(16, self.size * math.gcd(*columns))

    def launch(self) -> Launch | None:
        """Unit by unit; None for copies that are large, or would read here and there."""
        *rows, (count, last) = self.loops
        if last != Step(0, 1) and math.prod(extent for extent, _ in self.loops) > FEW:
            return None
        units = math.prod(extent for extent, _ in self.loops) * self.size // self.unit
        if units > MOST_UNITS:
            return None
        numbers = [self.size, self.unit, count, *self.numbers(rows, last)]
        return _launch("fixed_copy", numbers, units)

    def pixels(self) -> Launch | None:
        """Planes to pixels; None where this is none, or has many channels."""
        if len(self.loops) < 2:
            return None
        *rows, (width, along), (channels, last) = self.loops
        columns = [self.first.columns, last.columns, *(step.columns for _, step in rows)]
        few = 1 < channels <= MOST_CHANNELS and self.size * 4 <= 16
        if not few or along != Step(0, 1) or width % 4 or any(c % 4 for c in columns):
            return None
        numbers = [self.size, channels, width, *self.numbers(rows, last)]
        return _launch("fixed_pixels", numbers, math.prod(extent for extent, _ in rows) * width // 4)


def _launch(kernel: str, numbers: Sequence[int], threads: int) -> Launch:
    arguments = ", ".join(map(str, numbers))
    grid = blocks_for(threads, THREADS)
    return Launch("strided_copy/fixed_copy.cu", f"{kernel}<{arguments}>", grid, THREADS, exact=True)


def on_cuda(tactic: Tactic) -> Tactic:
    """The tactic of ``strided_copy`` on CUDA for one shape."""

    def found(node: NodeView) -> Launch | None:
        copy = Copy.of(node, tactic.params(node))
        return (copy.pixels() or copy.launch()) if copy else None

    def launch(node: NodeView, target: Target) -> Launch:
        return found(node)

    return replace(
        tactic,
        kernel="fixed_copy_cuda",
        when=lambda node: tactic.when(node) and found(node) is not None,
        launch=launch,
        efficiency=lambda node, target: EFFICIENCY,
    )
