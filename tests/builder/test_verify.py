"""The verifier: every broken invariant is named."""

from __future__ import annotations

import numpy as np
import pytest

from ingot.builder.ir import Value, View
from ingot.builder.verify import GraphError, verify
from ingot.kernels.spec import DType, TensorType


@pytest.fixture
def graph(make):
    x = make.input(2, 3)
    return make.graph(make.concat(0, make.transpose(make.reshape(x, 3, 2), 1, 0), make.random(1, 3)))


def reads_what_comes_later(graph) -> None:
    graph.nodes.reverse()


def reads_what_nobody_computes(graph) -> None:
    graph.nodes[0].inputs[0] = Value("stranger", TensorType(DType.F32, (2, 3)))


def wrong_type(graph) -> None:
    graph.nodes[0].outputs[0].type = TensorType(DType.F32, (2, 3))


def wrong_attributes(graph) -> None:
    graph.nodes[0].attrs = type(graph.nodes[0].attrs)((5, 5))


def same_name_twice(graph) -> None:
    graph.nodes[0].outputs[0].name = graph.inputs[0].name


def constant_of_another_type(graph) -> None:
    graph.nodes[2].inputs[1].data = np.zeros((1, 3), np.float64)


def output_nobody_computes(graph) -> None:
    graph.outputs = [Value("stranger", TensorType(DType.F32, (3, 3)))]


def wrong_producer(graph) -> None:
    graph.nodes[0].outputs[0].producer = graph.nodes[1]


def view_outside_its_base(graph) -> None:
    graph.views[graph.nodes[0].output] = View(graph.inputs[0], 1, 2)


def view_of_a_view(graph) -> None:
    graph.views[graph.nodes[0].output] = View(graph.inputs[0], 0, 2)
    graph.views[graph.nodes[1].output] = View(graph.nodes[0].output, 0, 3)


BREAK = [f for f in list(globals().values()) if callable(f) and getattr(f, "__module__", "") == __name__]


@pytest.mark.parametrize("damage", [f for f in BREAK if f.__name__ != "graph"], ids=lambda f: f.__name__)
def test_refuses(graph, damage) -> None:
    verify(graph)
    damage(graph)
    with pytest.raises(GraphError):
        verify(graph)
