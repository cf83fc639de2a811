"""Weights on a grid: largest, zero and tiny channels, sums, and weights around a zero point."""

from __future__ import annotations

import numpy as np
import pytest

from ingot.builder.quantization.weights import centred, quantise

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_errors_are_below_a_step(axis: int | None) -> None:
    w = (RNG.standard_normal((7, 9, 3, 3)) * RNG.uniform(0.01, 10, (7, 9, 1, 1))).astype(np.float32)
    found = quantise(w, axis)
    shape = [-1 if a == axis else 1 for a in range(4)]
    scale = found.scales.astype(np.float64).reshape(shape)
    error = found.data * scale - w
    assert (np.abs(error) <= scale * 0.951).all()
    assert np.abs(found.data).max() == 127
    if axis is not None:
        sums = np.abs(np.moveaxis(error / scale, axis, 0).reshape(w.shape[axis], -1).sum(axis=1))
        assert sums.max() < 1


def test_whole_numbers_stay() -> None:
    w = RNG.integers(-127, 128, (5, 40)).astype(np.float32)
    w[:, 0] = 127
    assert (quantise(w * np.float32(0.25), 0).data == w).all()


def test_odd_channels() -> None:
    w = np.zeros((4, 6), np.float32)
    w[1] = 1e-45
    w[2] = -3e38
    found = quantise(w, 0)
    assert np.isfinite(found.scales).all()
    assert (found.scales > 0).all()
    assert (found.data[0] == 0).all()
    assert (found.data[2] == -127).all()


@pytest.mark.parametrize("axis", [None, 0])
def test_zero_points(axis: int | None) -> None:
    """Exact where q - zero fits 8 bits; else within half of the coarser step, or clipped."""
    data = RNG.integers(-100, 100, (6, 50)).astype(np.int8)
    zeros = np.array([5]) if axis is None else np.array([0, 5, -7, 20, 27, -27])
    scales = np.full(zeros.shape, 0.5, np.float32)
    found = centred(data, scales, zeros, axis)
    wanted = (data - zeros.reshape(-1, 1)) * 0.5
    np.testing.assert_array_equal(found.data * found.scales.reshape(-1, 1), wanted)
    far = np.full((1, 50), -128, np.int8)
    found = centred(far, np.array([1.0], np.float32), np.array([100]), 0)
    np.testing.assert_allclose(found.data * found.scales, np.full((1, 50), -228.0), rtol=1e-6)
