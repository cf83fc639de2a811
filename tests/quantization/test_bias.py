"""Bias correction: inputs that are everywhere their channels' means give the float result, rounded weights or not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ingot.builder.calibrate.means import channel_mean
from ingot.builder.quantization.bias import corrected_bias
from ingot.builder.quantization.weights import quantise

RANDOM = np.random.default_rng(1)


def node(op: str, w: np.ndarray, bias: np.ndarray | None, **attrs: object) -> SimpleNamespace:
    """What the correction looks at of a node."""
    values = [None, SimpleNamespace(data=w), None if bias is None else SimpleNamespace(data=bias), None]
    return SimpleNamespace(op=SimpleNamespace(name=op), attrs=SimpleNamespace(**attrs), inputs=values)


def restored(weights) -> np.ndarray:
    shape = [-1 if axis == weights.axis else 1 for axis in range(weights.data.ndim)]
    return weights.data * weights.scales.astype(np.float64).reshape(shape)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(("groups", "inside"), [(1, 6), (3, 2), (6, 1)])
def test_conv(groups: int, inside: int, with_bias: bool) -> None:
    w = RANDOM.normal(size=(12, inside, 3, 3)).astype(np.float32)
    bias = RANDOM.normal(size=12).astype(np.float32) if with_bias else None
    mean = RANDOM.uniform(0, 5, groups * inside)
    weights = quantise(w, 0)
    found = corrected_bias(node("conv", w, bias, groups=groups), weights, mean)

    def results(w: np.ndarray, bias: np.ndarray | float) -> np.ndarray:
        each = mean.reshape(groups, inside).repeat(12 // groups, axis=0)
        return (w.sum(axis=(2, 3)) * each).sum(axis=1) + bias

    wanted = results(w.astype(np.float64), 0.0 if bias is None else bias)
    np.testing.assert_allclose(results(restored(weights), found), wanted, atol=1e-5)
    assert (
        found.dtype == np.float32
        and np.abs(results(restored(weights), 0 if bias is None else bias) - wanted).max() > 1e-3
    )


@pytest.mark.parametrize("trans_b", [False, True])
def test_matmul(trans_b: bool) -> None:
    w = RANDOM.normal(size=(7, 5)).astype(np.float32)
    mean = RANDOM.uniform(-1, 3, 5 if trans_b else 7)
    weights = quantise(w, 0 if trans_b else 1)
    attrs = {"trans_a": False, "trans_b": trans_b, "alpha": 2.0}
    found = corrected_bias(node("matmul", w, None, **attrs), weights, mean)

    def results(w: np.ndarray) -> np.ndarray:
        return 2 * mean @ (w.T if trans_b else w)

    np.testing.assert_allclose(results(restored(weights)) + found, results(w.astype(np.float64)), atol=1e-5)


def test_what_it_leaves_alone() -> None:
    w = RANDOM.normal(size=(4, 4)).astype(np.float32)
    attrs = {"trans_a": True, "trans_b": False, "alpha": 1.0}
    assert corrected_bias(node("matmul", w, None, **attrs), quantise(w, 1), np.ones(4)) is None
    attrs["trans_a"] = False
    assert corrected_bias(node("matmul", w, None, **attrs), quantise(w, 1), np.ones(3)) is None
    assert corrected_bias(node("matmul", w, np.zeros(2), **attrs), quantise(w, 1), np.ones(4)) is None


def test_means_are_exact_sums_in_any_order() -> None:
    x = RANDOM.normal(size=(1, 50, 40, 3)).astype(np.float32)
    np.testing.assert_allclose(channel_mean(x), x.mean(axis=(0, 1, 2), dtype=np.float64), atol=1e-8)
    assert channel_mean(x).tolist() == channel_mean(x[:, ::-1, ::-1]).tolist()
    assert np.isnan(channel_mean(np.array([[1.0, np.inf]], np.float32))).all()
