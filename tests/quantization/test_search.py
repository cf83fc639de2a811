"""The search for the fewest layers, on costs that are known."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot.builder.precision.search import Layer, fewest


def layers(*costs: float, macs: int = 1) -> list[Layer]:
    return [Layer(f"layer{index}", cost, macs) for index, cost in enumerate(costs)]


def adds_up(given: list[Layer], bound: float):
    """Errors add up as squares do."""
    return lambda kept: math.sqrt(sum(x.cost**2 for x in given if x.name not in kept)) <= bound


def test_nothing_to_keep_out() -> None:
    assert fewest(layers(0.1, 0.2), lambda kept: True) == frozenset()


def test_out_of_reach() -> None:
    assert fewest(layers(0.1, 0.2), lambda kept: False) is None


def test_the_one_that_costs() -> None:
    given = layers(0.01, 0.5, 0.01, 0.02)
    assert fewest(given, adds_up(given, 0.1)) == {"layer1"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.floats(0.5, 120))
def test_as_few_as_can_be(costs: list[int], bound: float) -> None:
    given = layers(*costs)
    holds = adds_up(given, bound)
    names = [layer.name for layer in given]
    least = next(n for n in range(len(names) + 1) if any(holds(frozenset(c)) for c in itertools.combinations(names, n)))
    found = fewest(given, holds)
    assert found is not None and holds(found) and len(found) == least


def test_layers_that_the_order_misjudged_go_back() -> None:
    given = layers(0.5, 0.4, 0.3, 0.2)
    assert fewest(given, lambda kept: "layer2" in kept) == {"layer2"}


def test_of_two_alike_the_lighter() -> None:
    given = [Layer("heavy", 0.5, 100), Layer("light", 0.4, 10), Layer("other", 0.1, 1)]
    assert fewest(given, lambda kept: bool(kept & {"heavy", "light"})) == {"light"}


@pytest.mark.parametrize("count", [1, 2, 100])
def test_trials_are_few(count: int) -> None:
    given = layers(*[1.0] * count)
    tried = []
    holds = adds_up(given, math.sqrt(count / 2))
    fewest(given, lambda kept: tried.append(kept) or holds(kept))
    assert len(tried) <= 2 + 8 + 48 + 16
