"""Scales and shifts in weights."""

from __future__ import annotations

import numpy as np
import pytest

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def batch_norm(make, y):
    channels = y.type.shape[-1]
    scale = make.constant(np.linspace(-0.5, 2, channels).reshape((1,) * (y.type.rank - 1) + (channels,)))
    return make.ew("Add", make.ew("Mul", y, scale), make.random(channels))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_batch_norm_behind_conv(make, check, ops, bias, groups) -> None:
    y = make.conv(make.input(1, 5, 6, 6), 12, 3, bias=bias, pads=(1, 1, 1, 1), groups=groups)
    assert ops(check(make.graph(batch_norm(make, y)), "fold_scale", **CLOSE)) == ["conv"]


@pytest.mark.parametrize("groups", [1, 2])
def test_batch_norm_behind_conv_transpose(make, check, ops, groups) -> None:
    x = make.input(1, 5, 6)
    attrs = {"kernel": (3,), "strides": (2,), "pads": (0, 0), "dilations": (1,), "groups": groups}
    y = make.op("conv_transpose", attrs, x, make.random(6, 4 // groups, 3), None, None)
    assert ops(check(make.graph(batch_norm(make, y)), "fold_scale", **CLOSE)) == ["conv_transpose"]


@pytest.mark.parametrize("trans_b", [False, True])
def test_behind_matmul(make, check, ops, trans_b) -> None:
    w = make.random(5, 4) if trans_b else make.random(4, 5)
    y = make.matmul(make.input(2, 3, 4), w, trans_b=trans_b)
    y = make.ew("Sub", make.random(5), make.ew("Div", y, make.constant([1, 2, 3, 4, -5])))
    assert ops(check(make.graph(y), "fold_scale", **CLOSE)) == ["matmul"]


def test_bias_keeps_the_weights(make, check) -> None:
    w = make.random(4, 5)
    y = make.ew("Add", make.matmul(make.input(3, 4), w), make.random(1, 5))
    graph = check(make.graph(y), "fold_scale", **CLOSE)
    assert graph.nodes[0].inputs[1] is w


@pytest.mark.parametrize("groups", [1, 3])
def test_scale_before_padded_conv(make, check, ops, groups) -> None:
    x = make.ew("Mul", make.input(1, 5, 5, 6), make.random(6))
    y = make.conv(x, 6, 3, pads=(1, 1, 1, 1), groups=groups)
    assert ops(check(make.graph(y), "fold_scale", **CLOSE)) == ["conv"]


def test_shift_before_padded_conv_stays(make, check, ops) -> None:
    x = make.ew("Add", make.input(1, 5, 5, 6), make.random(6))
    graph = check(make.graph(make.conv(x, 6, 3, pads=(1, 1, 1, 1))), "fold_scale", **CLOSE)
    assert ops(graph) == ["elementwise", "conv"]


@pytest.mark.parametrize("groups", [1, 3])
def test_batch_norm_before_conv(make, check, ops, groups) -> None:
    x = batch_norm(make, make.input(1, 5, 5, 6))
    assert ops(check(make.graph(make.conv(x, 9, 3, groups=groups, bias=True)), "fold_scale", **CLOSE)) == ["conv"]


@pytest.mark.parametrize("trans_b", [False, True])
def test_before_matmul(make, check, ops, trans_b) -> None:
    x = batch_norm(make, make.input(3, 4))
    y = make.matmul(x, make.random(5, 4) if trans_b else make.random(4, 5), trans_b=trans_b)
    assert ops(check(make.graph(y), "fold_scale", **CLOSE)) == ["matmul"]


def test_scalar_becomes_alpha(make, check, ops) -> None:
    a, b = make.input(2, 3, 4), make.input(2, 4, 5)
    y = make.matmul(make.ew("Mul", a, make.constant(0.5)), make.ew("Div", b, make.constant(3.0)))
    graph = check(make.graph(make.ew("Mul", y, make.constant([0.25]))), "fold_scale", **CLOSE)
    assert ops(graph) == ["matmul"]
    assert graph.nodes[0].attrs.alpha == pytest.approx(0.125 / 3)


def test_what_others_read_stays(make, check, ops) -> None:
    y = make.conv(make.input(1, 4, 4, 3), 5)
    graph = check(make.graph(y, batch_norm(make, y)), "fold_scale", **CLOSE)
    assert ops(graph) == ["conv", "elementwise", "elementwise"]


def test_per_pixel_factor_stays(make, check, ops) -> None:
    y = make.ew("Mul", make.conv(make.input(1, 4, 4, 3), 5), make.random(1, 4, 4, 1))
    assert ops(check(make.graph(y), "fold_scale", **CLOSE)) == ["conv", "elementwise"]


def test_chain_that_ends_in_a_per_pixel_factor(make, check, ops) -> None:
    y = batch_norm(make, make.conv(make.input(1, 4, 4, 3), 5))
    y = make.ew("Mul", y, make.random(1, 4, 4, 1))
    assert ops(check(make.graph(y), "fold_scale", **CLOSE)) == ["conv", "elementwise"]


def test_scalars_pass(make, check) -> None:
    y = make.ew("Mul", make.ew("Add", make.input(), make.constant(1.0)), make.constant(2.0))
    check(make.graph(y), "fold_scale")
