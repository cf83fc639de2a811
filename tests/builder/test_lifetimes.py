"""From a graph to buffers: who needs memory, how long, and what may be computed in place."""

from __future__ import annotations

from ingot.builder.ir import View
from ingot.builder.lifetimes import Lifetimes, plan_graph, root_of, tactic_of


def test_inputs_outputs_and_constants_are_not_planned(make) -> None:
    x = make.input(4, 5)
    inner = make.transpose(x, 1, 0)
    graph = make.graph(make.concat(0, inner, make.random(1, 4)))
    lives = Lifetimes(graph)
    assert lives.owners == [inner]
    assert (lives.buffers[0].first, lives.buffers[0].last) == (0, 1)


def test_in_place_needs_the_last_use_alone(make) -> None:
    a = make.ew("Exp", make.input(4, 5))
    b = make.ew("Neg", a)
    graph = make.graph(make.reshape(make.ew("Add", b, a), 20))
    lives = Lifetimes(graph)
    named = {(lives.owners[o].name, lives.owners[i].name) for o, i in lives.may_share}
    assert (b.name, a.name) in named
    plan = plan_graph(graph).plan
    assert len(plan.shared) == 1  # b may not take a's place, the sum may take either


def test_broadcast_operand_is_not_overwritten(make) -> None:
    a, b = make.ew("Exp", make.input(4, 5)), make.ew("Exp", make.input(5))
    lives = Lifetimes(make.graph(make.reshape(make.ew("Add", a, b), 20)))
    assert [lives.owners[i] for _, i in lives.may_share] == [a]


def test_residual_read_twice_is_not_overwritten(make) -> None:
    """matmul may write over its residual, but not when that is its operand as well."""
    x = make.ew("Exp", make.input(4, 4))
    y = make.matmul(x, make.random(4, 4), residual=x)
    assert tactic_of(y.producer).inplace == (3,)
    assert Lifetimes(make.graph(make.reshape(y, 16))).may_share == []


def test_views_live_in_their_base(make) -> None:
    x = make.transpose(make.input(4, 6), 1, 0)
    y = make.reshape(x, 24)
    graph = make.graph(make.slice(y, range(23, -1, -1)))
    graph.views[y] = View(x, 0, 24)
    lives = Lifetimes(graph)
    assert root_of(graph, y) is x
    assert lives.owners == [x]
    assert lives.buffers[0].last == 2
