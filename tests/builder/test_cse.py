"""Common subexpressions."""

from __future__ import annotations

import numpy as np


def test_equal_nodes_merge(make, check, ops) -> None:
    x = make.input(3, 4)
    a, b = make.transpose(x, 1, 0), make.transpose(x, 1, 0)
    graph = check(make.graph(make.concat(0, make.reshape(a, 12), make.reshape(b, 12))), "cse")
    assert ops(graph) == ["transpose", "reshape", "concat"]
    assert graph.nodes[-1].inputs[0] is graph.nodes[-1].inputs[1]


def test_equal_constants_merge(make, check) -> None:
    x = make.input(3)
    y = make.concat(0, x, make.constant([1, 2]), make.constant([1, 2]), make.constant([1, 2], np.float32))
    graph = check(make.graph(y), "cse")
    assert len(list(graph.constants())) == 1


def test_constants_of_other_bits_stay(make, check) -> None:
    x = make.input(3)
    graph = check(make.graph(make.concat(0, x, make.constant([0.0]), make.constant([-0.0]))), "cse")
    assert len(list(graph.constants())) == 2


def test_two_outputs_stay_two(make, check) -> None:
    x = make.input(3, 4)
    graph = check(make.graph(make.transpose(x, 1, 0), make.transpose(x, 1, 0)), "cse")
    assert len(graph.nodes) == 2


def test_other_attributes_stay(make, check, ops) -> None:
    x = make.input(3, 3)
    y = make.concat(0, make.slice(x, range(2), range(3)), make.slice(x, range(1, 3), range(3)))
    assert ops(check(make.graph(y), "cse")) == ["slice", "slice", "concat"]
