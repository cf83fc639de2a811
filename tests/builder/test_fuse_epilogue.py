"""Residual adds and activations fused into convolutions and matrix products."""

from __future__ import annotations

import pytest

from ingot.kernels.common.activation import ActivationKind

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.parametrize("function", ["Relu", "Sigmoid", "HardSwish", "Silu", "Tanh"])
def test_activation(make, check, ops, function) -> None:
    y = make.ew(function, make.conv(make.input(1, 4, 5, 6), 7, 3))
    assert ops(check(make.graph(y), "fuse_epilogue", **CLOSE)) == ["conv"]


def test_residual_and_activation(make, check, ops) -> None:
    x = make.input(1, 4, 5, 6)
    y = make.ew("Clip", make.ew("Add", x, make.conv(x, 6)), alpha=0, beta=6)
    graph = check(make.graph(y), "fuse_epilogue", **CLOSE)
    assert ops(graph) == ["conv"]
    assert graph.nodes[0].inputs[3] is graph.inputs[0]
    assert graph.nodes[0].attrs.activation.kind is ActivationKind.CLIP


def test_of_two_the_later_takes_the_other(make, check, ops) -> None:
    x = make.input(1, 4, 5, 6)
    one, two = make.conv(x, 8), make.conv(x, 8, 3, pads=(1, 1, 1, 1))
    graph = check(make.graph(make.ew("Relu", make.ew("Add", two, one))), "fuse_epilogue", **CLOSE)
    assert ops(graph) == ["conv", "conv"]
    assert graph.nodes[1].inputs[3] is graph.nodes[0].output
    assert graph.nodes[1].attrs.kernel == (3, 3)


def test_matmul(make, check, ops) -> None:
    x = make.input(3, 4)
    y = make.ew("Add", make.matmul(x, make.random(4, 4), make.random(4)), x)
    assert ops(check(make.graph(make.ew("Elu", y, alpha=1.0)), "fuse_epilogue", **CLOSE)) == ["matmul"]


def test_residual_behind_an_activation_stays(make, check, ops) -> None:
    x = make.input(1, 4, 5, 6)
    y = make.ew("Add", make.ew("Relu", make.conv(x, 6)), x)
    assert ops(check(make.graph(y), "fuse_epilogue", **CLOSE)) == ["conv", "elementwise"]


def test_residual_that_broadcasts_stays(make, check, ops) -> None:
    x = make.input(1, 4, 5, 6)
    y = make.ew("Add", make.conv(x, 6), make.input(1, 4, 5, 1))
    assert ops(check(make.graph(y), "fuse_epilogue", **CLOSE)) == ["conv", "elementwise"]


def test_what_others_read_stays(make, check, ops) -> None:
    y = make.conv(make.input(1, 4, 5, 6), 6)
    assert ops(check(make.graph(y, make.ew("Relu", y)), "fuse_epilogue", **CLOSE)) == ["conv", "elementwise"]


def test_twice_the_same_is_no_residual(make, check, ops) -> None:
    y = make.conv(make.input(1, 4, 5, 6), 6)
    assert ops(check(make.graph(make.ew("Add", y, y)), "fuse_epilogue", **CLOSE)) == ["conv", "elementwise"]


@pytest.mark.parametrize("batch", [1, 2])
def test_embeddings_of_places_behind_a_row_of_a_class(make, check, ops, batch) -> None:
    """The convolution adds them; the constant row has its own."""
    x = make.reshape(make.conv(make.input(batch, 4, 4, 3), 8), batch, 16, 8)
    joined = make.op("concat", {"axis": 1}, make.random(batch, 1, 8), x)
    graph = check(make.graph(make.ew("Add", joined, make.random(1, 17, 8))), "fuse_epilogue", rtol=1e-5, atol=1e-5)
    assert ops(graph) == ["conv", "reshape", "concat"]
    assert graph.nodes[0].inputs[3].is_constant


def test_constant_that_is_the_same_for_all_rows_stays(make, check, ops) -> None:
    y = make.reshape(make.conv(make.input(1, 4, 4, 3), 8), 1, 16, 8)
    graph = check(make.graph(make.ew("Add", y, make.random(8))), "fuse_epilogue", rtol=1e-5, atol=1e-5)
    assert ops(graph) == ["conv", "reshape", "elementwise"]
