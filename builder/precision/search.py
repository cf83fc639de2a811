"""Which layers stay out of int8: as few as the bound allows, found by trying.

What each layer costs alone gives an order; costs add up nearly as squares do, so keeping the first few of it is nearly
the best that so many layers can do. Bisection finds how many; then layers are put back one by one, and changed for
lighter ones, as long as the bound holds. Errors are no exact sums, so every step is a trial with a real engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: trials spent on putting layers back, and on changing layers for lighter ones
PUT_BACK, SWAPS = 48, 16


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that may stay out of int8. ``cost`` is the error of the outputs when it alone is in int8."""

    name: str
    cost: float
    macs: int


def fewest(layers: Sequence[Layer], holds: Callable[[frozenset[str]], bool]) -> frozenset[str] | None:
    """The names of the layers to keep out; ``None`` when the bound does not even hold without any layer in int8.

    ``holds`` says whether the bound holds with these layers kept out. Of sets of one size that hold, one with few
    multiplications is preferred.
    """
    order = sorted(layers, key=lambda layer: (-layer.cost, layer.macs, layer.name))
    if holds(frozenset()):
        return frozenset()
    if not holds(frozenset(layer.name for layer in order)):
        return None
    low, high = 0, len(order)  # the bound holds with the first `high` of them out, and not with the first `low`
    while high - low > 1:
        middle = (low + high) // 2
        if holds(frozenset(layer.name for layer in order[:middle])):
            high = middle
        else:
            low = middle
    kept = _put_back(order[:high], holds)
    return frozenset(layer.name for layer in _lighter(order, kept, holds))


def _put_back(kept: list[Layer], holds: Callable[[frozenset[str]], bool]) -> list[Layer]:
    """Without the layers that can go back to int8, those of the least cost first.

    The last one of the order was needed when the others stood before it, so it is tried like any other, but once.
    """
    for layer in kept[::-1][:PUT_BACK]:
        rest = [other for other in kept if other is not layer]
        if rest and holds(_names(rest)):
            kept = rest
    return kept


def _lighter(order: list[Layer], kept: list[Layer], holds: Callable[[frozenset[str]], bool]) -> list[Layer]:
    """With layers changed for ones of fewer multiplications, where that holds."""
    trials = SWAPS
    for layer in sorted(kept, key=lambda layer: (-layer.macs, layer.name)):
        rest = [other for other in kept if other is not layer]
        candidates = [other for other in order if other not in kept and other.macs < layer.macs]
        for other in candidates[:2]:
            if not trials:
                return kept
            trials -= 1
            if holds(_names([*rest, other])):
                kept = [*rest, other]
                break
    return kept


def _names(layers: Sequence[Layer]) -> frozenset[str]:
    return frozenset(layer.name for layer in layers)
