"""Constant folding."""

from __future__ import annotations

import numpy as np

from ingot.kernels.spec import DType


def test_constants_run_at_build_time(make, check, ops) -> None:
    x = make.input(2, 3)
    c = make.transpose(make.random(3, 2), 1, 0)
    graph = check(make.graph(make.concat(0, x, c)), "fold")
    assert ops(graph) == ["concat"]
    assert graph.nodes[0].inputs[1].data.shape == (2, 3)


def test_large_results_of_small_operands_stay(make, check, ops) -> None:
    x = make.input(1, 1 << 20)
    big = make.op("expand", {"shape": (3, 1 << 20)}, make.random(3, 1))
    graph = check(make.graph(make.concat(0, x, big)), "fold", numbers=False)
    assert ops(graph) == ["expand", "concat"]


def test_constant_output_keeps_its_node(make, check, ops) -> None:
    graph = check(make.graph(make.transpose(make.random(3, 2), 1, 0)), "fold")
    assert ops(graph) == ["transpose"]


def test_types_are_kept(make, check) -> None:
    c = make.concat(0, make.constant([1, 2], np.int64), make.constant([3], np.int64))
    graph = check(make.graph(make.concat(0, make.input(1, dtype=c.type.dtype), c)), "fold")
    assert graph.nodes[0].inputs[1].data.tolist() == [1, 2, 3]


def test_bfloat16_converts(make, check, ops) -> None:
    x = make.input(2)
    c = make.ew("Cast", make.ew("Cast", make.constant([1.5, -2.0]), dtype=DType.BF16), dtype=DType.F32)
    graph = check(make.graph(make.concat(0, x, c)), "fold")
    assert ops(graph) == ["concat"]
    assert graph.nodes[0].inputs[1].data.tolist() == [1.5, -2.0]
