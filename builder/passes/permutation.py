"""Permutations of axes, and how they pass through a reshape.

A permutation is a tuple as ``numpy.transpose`` takes it: axis ``i`` of the result is axis ``perm[i]`` of the operand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Perm = tuple[int, ...]

#: [N, C, H, W] -> [N, H, W, C]
CHANNELS_LAST: Perm = (0, 2, 3, 1)


def identity(rank: int) -> Perm:
    return tuple(range(rank))


def is_identity(perm: Perm) -> bool:
    return perm == identity(len(perm))


def inverse(perm: Perm) -> Perm:
    """The permutation that undoes ``perm``."""
    back = [0] * len(perm)
    for position, axis in enumerate(perm):
        back[axis] = position
    return tuple(back)


def after(first: Perm, second: Perm) -> Perm:
    """The one transpose that does what ``first`` and then ``second`` do."""
    return tuple(first[axis] for axis in second)


def permuted(shape: Sequence[int], perm: Perm) -> tuple[int, ...]:
    """The shape of a transposed tensor."""
    return tuple(shape[axis] for axis in perm)


def memory_order(shape: Sequence[int], perm: Perm) -> Perm:
    """What a layout means for the bytes: the order of the axes that have more than one element.

    Two layouts of a tensor with equal memory orders hold the same bytes; a reshape leads from one to the other.
    """
    return tuple(axis for axis in perm if shape[axis] != 1)


def through_reshape(before: Sequence[int], behind: Sequence[int], perm: Perm) -> Perm | None:
    """The ``result`` with ``transpose(reshape(x, behind), result)`` and ``transpose(x, perm)`` the same bytes.

    ``before`` and ``behind`` are the shapes on both sides of the reshape. ``None`` when the permutation tears axes
    apart that the reshape merges or mixes.
    """
    if 0 in before or not before or not behind:
        return None
    pairs = groups(before, behind)
    order = list(memory_order(before, perm))
    result: list[int] = []
    while order:
        sources, targets = next(group for group in pairs if order[0] in group[0])
        if order[: len(sources)] != sources:
            return None
        del order[: len(sources)]
        result += targets
    return _with_unit_axes(behind, result)


def groups(before: Sequence[int], behind: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The finest pairs of runs of axes of two shapes (those of extent 1 left out) that hold the same elements."""
    left = [axis for axis, extent in enumerate(before) if extent != 1]
    right = [axis for axis, extent in enumerate(behind) if extent != 1]
    found: list[tuple[list[int], list[int]]] = []
    while left and right:
        sources, targets = [left.pop(0)], [right.pop(0)]
        while (a := math.prod(before[i] for i in sources)) != (b := math.prod(behind[i] for i in targets)):
            if a < b:
                sources.append(left.pop(0))
            else:
                targets.append(right.pop(0))
        found.append((sources, targets))
    return found


def _with_unit_axes(shape: Sequence[int], order: list[int]) -> Perm:
    """The order completed by the axes of extent 1, each behind the axis it follows in the shape."""
    result = list(order)
    for axis, extent in enumerate(shape):
        if extent == 1:
            result.insert(result.index(axis - 1) + 1 if axis else 0, axis)
    return tuple(result)
