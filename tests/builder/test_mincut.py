"""The minimum cut against trying every assignment."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from ingot.builder.passes.mincut import MinCut


def brute(count, unary, pairs):
    def cost(x):
        total = sum(u[x[i]] for i, u in enumerate(unary))
        return total + sum(c[2 * x[a] + x[b]] for a, b, c in pairs)

    return min((cost(x), sum(x)) for x in itertools.product((0, 1), repeat=count))


@st.composite
def networks(draw):
    count = draw(st.integers(1, 6))
    unary = [(draw(st.integers(0, 9)), draw(st.integers(0, 9))) for _ in range(count)]
    pairs = []
    for a, b in itertools.combinations(range(count), 2):
        if draw(st.booleans()):
            zero, one = draw(st.integers(0, 9)), draw(st.integers(0, 9))
            extra, split = draw(st.integers(0, 9)), draw(st.integers(0, 18))
            up = min(split, zero + one + extra)
            pairs.append((a, b, (zero, up, zero + one + extra - up, one)))
    return count, unary, pairs


@given(networks())
@settings(max_examples=300, deadline=None)
def test_cheapest(network) -> None:
    count, unary, pairs = network
    cut = MinCut()
    variables = [cut.variable() for _ in range(count)]
    for variable, (zero, one) in zip(variables, unary):
        cut.if_zero(variable, zero)
        cut.if_one(variable, one)
    for a, b, costs in pairs:
        cut.pair(variables[a], variables[b], costs)
    values = cut.solve()
    x = [values[v] for v in variables]
    total = sum(u[x[i]] for i, u in enumerate(unary)) + sum(c[2 * x[a] + x[b]] for a, b, c in pairs)
    assert (total, sum(x)) == brute(count, unary, pairs)
