"""Which steps must wait for which: the edges of a CUDA program, whose steps run side by side wherever none forbids it.

A step waits for those that wrote what it reads (of its operands), and, since the plan gives bytes of the arena to one
tensor after another, for those that read or wrote what it overwrites. The file's order is one of the orders that the
edges allow. What follows from other edges is left out (the transitive reduction of an acyclic graph, which is unique).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ingot.builder.plan import ARENA, NO_INDEX, STATE, Program, Tensor


@dataclass(frozen=True, slots=True)
class _Use:
    """A step that reads or writes a tensor of a buffer."""

    step: int
    tensor: int
    writes: bool


def edges_of(program: Program) -> list[tuple[int, int]]:
    """Pairs of steps, the first before the second, sorted."""
    uses = _uses(program)
    before: list[set[int]] = [set() for _ in program.steps]
    for buffer, own in uses.items():
        if any(use.writes for use in own):
            _order(before, _within(program, own))
        for other in _sharing(program, buffer, uses):
            _order(before, _between(own, uses[other]))
    return _reduced(before)


def _uses(program: Program) -> dict[int, list[_Use]]:
    """By buffer, in the order of the steps; a workspace is written."""
    found: dict[int, list[_Use]] = {}
    for number, step in enumerate(program.steps):
        read = [(tensor, False) for tensor in step.inputs]
        written = [(tensor, True) for tensor in (*step.outputs, step.workspace)]
        for tensor, writes in [*read, *written]:
            if tensor != NO_INDEX:
                found.setdefault(program.tensors[tensor].buffer, []).append(_Use(number, tensor, writes))
    return found


def _order(before: list[set[int]], pairs: Iterable[tuple[int, int]]) -> None:
    for one, other in pairs:
        if one != other:
            before[max(one, other)].add(min(one, other))


def _within(program: Program, uses: list[_Use]) -> Iterator[tuple[int, int]]:
    """Steps that touch the same bytes of one buffer, and not only to read them."""
    writers = [use for use in uses if use.writes]
    for writer in writers:
        for use in uses:
            if _overlap(program.tensors[writer.tensor], program.tensors[use.tensor]):
                yield writer.step, use.step


def _between(one: list[_Use], other: list[_Use]) -> Iterator[tuple[int, int]]:
    """Steps of two buffers that have bytes in common: whoever writes the later one waits for all of the earlier one."""
    first, second = sorted((one, other), key=lambda uses: (uses[0].step, uses[-1].step))
    for later in second:
        if later.writes:
            for earlier in first:
                yield earlier.step, later.step


def _sharing(program: Program, buffer: int, uses: Iterable[int]) -> Iterator[int]:
    """Other buffers, of larger index, that have bytes of the arena or of the state in common with this one."""
    own = program.buffers[buffer]
    if own.storage not in (ARENA, STATE):
        return
    for index in uses:
        other = program.buffers[index]
        apart = own.offset >= other.offset + other.size or other.offset >= own.offset + own.size
        if index > buffer and other.storage == own.storage and not apart:
            yield index


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of a buffer have bytes in common: different columns of rows of one pitch have none."""
    if one is other:
        return True
    (begin, end, row, pitch), (other_begin, other_end, other_row, other_pitch) = map(_extent, (one, other))
    if begin >= other_end or other_begin >= end:
        return False
    if pitch != other_pitch or max(row, other_row) > pitch:
        return True
    ahead = (other_begin - begin) % pitch
    return ahead < row or other_row > pitch - ahead


def _extent(tensor: Tensor) -> tuple[int, int, int, int]:
    """First byte, the one behind the last, bytes of a row, and from row to row."""
    size = tensor.type.dtype.size
    row = (tensor.type.shape[-1] if tensor.type.shape else 1) * size
    rows = tensor.type.count * size // row if row else 0
    span = (rows - 1) * tensor.pitch * size + row if rows else 0
    return tensor.offset, tensor.offset + span, row, tensor.pitch * size


def _reduced(before: list[set[int]]) -> list[tuple[int, int]]:
    """The pairs that do not follow from others. Steps are in an order that they allow."""
    reach = [0] * len(before)  # bit sets of ancestors
    edges = []
    for step, needs in enumerate(before):
        for need in sorted(needs, reverse=True):  # the nearest first: only it can make another one superfluous
            if not reach[step] >> need & 1:
                edges.append((need, step))
                reach[step] |= reach[need] | 1 << need
    return sorted(edges)
