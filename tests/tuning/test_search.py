"""The least cost of choices in pairs, against trying all of them; ties, what is forbidden, tables cut in groups."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot.builder.tuning.search import minimise


def cost(unary, pairs, values) -> float:
    total = sum(costs[v] for costs, v in zip(unary, values))
    return total + sum(table[values[i]][values[j]] for (i, j), table in pairs.items())


def least(unary, pairs) -> float:
    return min(cost(unary, pairs, values) for values in itertools.product(*(range(len(u)) for u in unary)))


@st.composite
def problems(draw):
    """Up to six variables of up to three values, any pairs of them, whole costs, some of them forbidden."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=6))
    number = st.one_of(st.integers(0, 20).map(float), st.just(math.inf))
    unary = [[0.0 + draw(st.integers(0, 20)) for _ in range(n)] for n in sizes]
    pairs = {}
    for i, j in itertools.combinations(range(len(sizes)), 2):
        if draw(st.booleans()):
            pairs[i, j] = [[draw(number) for _ in range(sizes[j])] for _ in range(sizes[i])]
            pairs[i, j][0][0] = 0.0  # the first values can always be had
    return unary, pairs


@settings(max_examples=150, deadline=None)
@given(problems())
def test_as_good_as_trying_all(problem) -> None:
    unary, pairs = problem
    found = minimise(unary, pairs)
    assert found.is_exact
    assert found.cost == cost(unary, pairs, found.values) == least(unary, pairs)


@settings(max_examples=150, deadline=None)
@given(problems())
def test_small_tables_give_a_bound(problem) -> None:
    unary, pairs = problem
    found = minimise(unary, pairs, limit=4)
    best = least(unary, pairs)
    assert found.bound <= best <= found.cost == cost(unary, pairs, found.values)
    assert found.cost <= cost(unary, pairs, [0] * len(unary)), "worse than the first values"


def test_a_cut_search_says_so() -> None:
    """A grid of disagreeing neighbours with a table limit that cannot hold three variables."""
    rng = np.random.default_rng(3)
    side, values = 4, 3
    unary = rng.integers(0, 30, (side * side, values)).astype(float).tolist()
    pairs = {}
    for r, c in itertools.product(range(side), range(side)):
        for other in ((r + 1, c), (r, c + 1)):
            if max(other) < side:
                pairs[r * side + c, other[0] * side + other[1]] = rng.integers(0, 30, (values, values)).astype(float)
    cut, whole = minimise(unary, pairs, limit=9), minimise(unary, pairs)
    assert whole.is_exact and not cut.is_exact
    assert cut.bound <= whole.cost <= cut.cost


@pytest.mark.parametrize("count", [1, 2, 300])
def test_of_equal_costs_the_first_is_taken(count: int) -> None:
    pairs = {(i, i + 1): [[0.0, 0.0], [0.0, 0.0]] for i in range(count - 1)}
    assert minimise([[1.0, 1.0]] * count, pairs).values == (0,) * count


def test_a_long_chain() -> None:
    """Changing sides costs 3; sides differ by 1: it pays to change once where ten of a kind follow."""
    unary = [[0.0, 1.0]] * 10 + [[1.0, 0.0]] * 10
    found = minimise(unary, {(i, i + 1): [[0.0, 3.0], [3.0, 0.0]] for i in range(19)})
    assert found.values == (0,) * 10 + (1,) * 10
    assert found.cost == 3.0


def test_nothing_to_choose() -> None:
    assert minimise([], {}).cost == 0.0
