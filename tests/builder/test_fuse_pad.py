"""Padding folded into its reader."""

from __future__ import annotations

import math

import pytest

from ingot.kernels.pool.op import PoolAttrs, PoolKind


def pad(make, x, value=0.0, before=(0, 1, 2, 0), after=(0, 0, 1, 0)):
    return make.op("pad", {"before": before, "after": after, "mode": "constant", "value": value}, x)


def pool(make, x, kind, **more):
    return make.op("pool", PoolAttrs(kind, (3, 3), (2, 2), (0, 0, 0, 0), (1, 1), **more), x)


def test_conv(make, check, ops) -> None:
    y = make.conv(pad(make, make.input(1, 6, 7, 4)), 8, 3, pads=(1, 0, 0, 1), strides=(2, 1))
    graph = check(make.graph(y), "fuse_pad", rtol=1e-5, atol=1e-5)
    assert ops(graph) == ["conv"]
    assert graph.nodes[0].attrs.pads == (2, 2, 0, 2)


@pytest.mark.parametrize(
    "amounts",
    [
        {"value": 1.0},
        {"before": (0, 1, 0, 1), "after": (0, 0, 0, 1)},
        {"before": (0, -1, 2, 0)},
    ],
)
def test_other_pads_stay(make, check, ops, amounts) -> None:
    y = make.conv(pad(make, make.input(1, 6, 7, 4), **amounts), 8, 3)
    assert ops(check(make.graph(y), "fuse_pad")) == ["pad", "conv"]


@pytest.mark.parametrize("value", [-math.inf, -3.4028234663852886e38])
def test_max_pool(make, check, ops, value) -> None:
    y = pool(make, pad(make, make.input(1, 6, 7, 4), value), PoolKind.MAX)
    assert ops(check(make.graph(y), "fuse_pad")) == ["pool"]


def test_max_pool_of_zeros_stays(make, check, ops) -> None:
    y = pool(make, pad(make, make.input(1, 6, 7, 4)), PoolKind.MAX)
    assert ops(check(make.graph(y), "fuse_pad")) == ["pad", "pool"]


def test_max_pool_of_nothing_but_padding_stays(make, check, ops) -> None:
    y = pool(make, pad(make, make.input(1, 6, 7, 4), -math.inf, (0, 3, 0, 0)), PoolKind.MAX)
    assert ops(check(make.graph(y), "fuse_pad")) == ["pad", "pool"]


def test_average_pool_counts_the_zeros(make, check, ops) -> None:
    y = pool(make, pad(make, make.input(1, 6, 7, 4)), PoolKind.AVERAGE)
    graph = check(make.graph(y), "fuse_pad", rtol=1e-6, atol=1e-6)
    assert ops(graph) == ["pool"]
    assert graph.nodes[0].attrs.kind is PoolKind.AVERAGE_PADDED


def test_pad_that_others_read_is_still_saved(make, check, ops) -> None:
    x = pad(make, make.input(1, 6, 7, 4))
    graph = check(make.graph(make.conv(x, 8, 3), x), "fuse_pad", rtol=1e-5, atol=1e-5)
    assert ops(graph) == ["pad", "conv"]
    assert graph.nodes[1].inputs[0] is graph.inputs[0]
