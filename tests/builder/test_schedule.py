"""The schedule: dependencies hold, the peak never grows, and it falls where an order is better."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingot.builder.lifetimes import plan_graph


def bound(graph) -> int:
    return plan_graph(graph).plan.bound


def grow(make, x, rows):
    return make.op("pad", {"before": (0, 0), "after": (rows, 0), "mode": "constant"}, x)


def shrink(make, x):
    return make.slice(x, range(2), range(x.type.shape[1]))


def test_branches_one_after_the_other(make, check) -> None:
    """All branches blown up first and shrunk later: taking them one by one needs a fraction."""
    x = grow(make, make.input(3, 64), 1)
    large = [grow(make, x, 100 + i) for i in range(6)]
    graph = make.graph(make.concat(0, *(shrink(make, y) for y in large)))
    before = bound(graph)
    check(graph, "schedule")
    assert bound(graph) < before / 4


def test_given_order_stays_when_it_is_best(make, check) -> None:
    x = make.input(3, 64)
    for i in range(5):
        x = grow(make, x, i)
    graph = make.graph(x)
    before = str(graph)
    assert str(check(graph, "schedule")) == before


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=25))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random(make, check, steps) -> None:
    make = type(make)()
    values = [make.input(3, 8)]
    for kind, pick in steps:
        x = values[-1 - pick % len(values)]
        values.append(grow(make, x, pick * 3) if kind else shrink(make, x))
    read = {id(v) for node in make.nodes for v in node.inputs}
    graph = make.graph(*(v for v in values[1:] if id(v) not in read))
    check(graph, "views")
    before = bound(graph)
    check(graph, "schedule")
    assert bound(graph) <= before
    assert plan_graph(graph).plan.ratio <= 1.1
