"""Parallel operators on one input become one."""

from __future__ import annotations

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def test_convolutions_that_convolutions_read(make, check, ops) -> None:
    x = make.input(1, 4, 5, 6)
    one, two = make.conv(x, 8, bias=True), make.conv(x, 16)
    y = make.ew("Add", make.conv(one, 4), make.conv(two, 4))
    graph = check(make.graph(y), "horizontal", **CLOSE)
    assert ops(graph) == ["conv", "slice", "slice", "conv", "conv", "elementwise"]
    assert graph.nodes[0].output.type.shape[-1] == 24


def test_readers_that_need_dense_rows(make, check, ops) -> None:
    x = make.input(1, 4, 5, 6)
    y = make.ew("Add", make.conv(x, 8), make.conv(x, 8))
    assert ops(check(make.graph(y), "horizontal", **CLOSE)) == ["conv", "conv", "elementwise"]


def test_single_rows_always(make, check, ops) -> None:
    x = make.input(1, 16)
    y = make.ew("Add", *(make.matmul(x, make.random(16, 8), make.random(8)) for _ in range(2)))
    graph = check(make.graph(y), "horizontal", "views", **CLOSE)
    assert ops(graph) == ["matmul", "slice", "slice", "elementwise"]
    assert len(graph.views) == 2


def test_other_attributes_stay(make, check, ops) -> None:
    x = make.input(1, 4, 5, 6)
    one, two = make.conv(x, 8, strides=(2, 2)), make.conv(x, 8)
    graph = check(make.graph(make.conv(one, 4), make.conv(two, 4)), "horizontal", **CLOSE)
    assert ops(graph) == ["conv"] * 4
