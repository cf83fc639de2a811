"""Slices move in front of what makes each row by itself."""

from __future__ import annotations

import pytest

from ingot.kernels.attention.op import AttentionAttrs
from ingot.kernels.normalize.op import NormalizeAttrs, NormalizeKind
from ingot.kernels.softmax.op import SoftmaxAttrs

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def rows(make, x, axis: int, start: int, count: int, step: int = 1):
    shape = list(x.type.shape)
    starts, steps = [0] * len(shape), [1] * len(shape)
    starts[axis], steps[axis], shape[axis] = start, step, count
    return make.op("slice", {"starts": tuple(starts), "steps": tuple(steps), "shape": tuple(shape)}, x)


def layer_norm(make, x):
    return make.op("normalize", NormalizeAttrs(NormalizeKind.LAYER, 1e-5, 2), x, make.random(8), make.random(8))


def test_through_a_layer_to_its_input(make, check, ops) -> None:
    x = make.input(2, 12, 8)
    y = make.ew("Add", make.matmul(layer_norm(make, x), make.random(8, 8), make.random(8)), x)
    graph = check(make.graph(rows(make, make.ew("Relu", y), 1, 3, 2, 4)), "read_less", "cse", **CLOSE)
    assert sorted(ops(graph)) == ["elementwise", "elementwise", "matmul", "normalize", "slice"]
    assert all(value.type.shape[1] == 2 for node in graph.nodes for value in node.outputs)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rows_first", [False, True])
def test_through_attention_to_the_queries(make, check, ops, causal, rows_first) -> None:
    q, k, v = (make.input(1, 6, 6, 4) for _ in range(3))
    attrs = AttentionAttrs(0.5, (rows_first,) * 4, causal)
    y = make.op("attention", attrs, q, k, v, make.input(1, 1, 6, 6))
    y = rows(make, y, 1 if rows_first else 2, 4, 2)
    graph = check(make.graph(y), "read_less", **CLOSE)
    assert ops(graph) == ["slice", "slice", "attention"] and graph.outputs[0].producer.op.name == "attention"


def test_equal_slices_move_as_one(make, check, ops) -> None:
    """What is normalised is added as well: one product of few rows is left."""
    x = make.matmul(make.input(1, 12, 8), make.random(8, 8))
    y = make.ew("Add", make.matmul(layer_norm(make, x), make.random(8, 8)), x)
    graph = check(make.graph(rows(make, y, 1, 0, 1)), "read_less", **CLOSE)
    assert sorted(ops(graph)) == ["elementwise", "matmul", "matmul", "normalize", "slice"]


def test_through_a_reshape_of_other_axes(make, check, ops) -> None:
    x = make.op("softmax", SoftmaxAttrs(3), make.input(2, 9, 4, 3))
    graph = check(make.graph(rows(make, make.reshape(x, 2, 9, 12), 1, 0, 1)), "read_less", **CLOSE)
    assert ops(graph) == ["slice", "softmax", "reshape"]


def test_what_must_stay(make, check, ops) -> None:
    x = make.input(2, 12, 8)
    y, z, most, read = layer_norm(make, x), layer_norm(make, x), layer_norm(make, x), layer_norm(make, x)
    slices = [
        rows(make, y, 2, 0, 2),  # what is normalised together
        rows(make, make.reshape(z, 24, 8), 0, 0, 3),  # rows of several batches
        rows(make, most, 1, 0, 11),
        rows(make, read, 1, 0, 1),
    ]
    before = make.graph(*slices, read)
    wanted = ops(before)
    assert ops(check(before, "read_less")) == wanted
