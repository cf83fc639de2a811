"""Dead code."""

from __future__ import annotations


def test_chain_of_dead_nodes(make, check, ops) -> None:
    x = make.input(3, 4)
    make.reshape(make.transpose(x, 1, 0), 12)
    graph = check(make.graph(make.reshape(x, 2, 6)), "dce")
    assert ops(graph) == ["reshape"]
    assert graph.report == [("dce", "removed 2 dead nodes")]


def test_nothing_dead(make, check) -> None:
    graph = check(make.graph(make.reshape(make.input(3, 4), 12)), "dce")
    assert graph.report == []
