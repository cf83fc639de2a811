"""Weights on a grid: largest, zero and tiny channels, sums, zero points; and what becomes of a bias."""

from __future__ import annotations

import numpy as np
import pytest

from ingot.builder.quantization.weights import centred, quantise
from ingot.kernels.common.activation import Activation, ActivationKind
from ingot.kernels.common.quantized import epilogue, in_parts, may_overflow
from ingot.kernels.spec import Quant

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
    """q - zero in 8 bits where it fits, else in 16; scales as they were."""
    data = RNG.integers(-100, 100, (6, 50)).astype(np.int8)
    zeros = np.array([25]) if axis is None else np.array([0, 5, -7, 20, 27, -27])
    scales = np.full(zeros.shape, 0.5, np.float32)
    for reach, dtype in ((1, np.int8), (4, np.int16)):
        found = centred(data, scales, zeros * reach, axis)
        assert found.data.dtype == dtype
        np.testing.assert_array_equal(found.data, data.astype(int) - zeros.reshape(-1, 1) * reach)
        assert found.axis == axis
        assert found.scales is scales


def test_numbers_of_nine_bits_are_sums_of_eight() -> None:
    every = np.arange(-255, 256, dtype=np.int16).reshape(7, -1)
    parts = in_parts(every, axis=1)
    assert (parts.dtype, parts.shape) == (np.int8, (7, 3, 73))
    np.testing.assert_array_equal(parts.sum(axis=1, dtype=np.int16), every)
    assert in_parts(every[:, :1] // 2, axis=0).shape == (1, 7, 1)
    assert in_parts(np.array([[254]], np.int16), axis=0).shape == (2, 1, 1)
    small = np.array([[-128, 127]], np.int8)
    assert in_parts(small, axis=0) is small


SCALE = np.array([3.1e-4, 0.7, 0.1])
NONE, RELU6 = Activation(ActivationKind.NONE), Activation(ActivationKind.CLIP, 0.0, 6.0)


def test_a_bias_of_whole_numbers_is_added_to_the_sums() -> None:
    counts = np.array([-70_000, 3, 1 << 29])
    bias = (counts * SCALE).astype(np.float32)
    found = epilogue(SCALE, bias, RELU6, None, Quant(0.05))
    assert found.bias.dtype == np.int32
    np.testing.assert_array_equal(found.bias[:2], counts[:2])
    assert abs(int(found.bias[2]) - counts[2]) <= 32  # half a unit of a float32 of that size
    assert found.steps
    np.testing.assert_array_equal(found.scale, SCALE.astype(np.float32) / np.float32(0.05))
    assert found.activation == Activation(ActivationKind.CLIP, 0.0, float(np.float32(6) / np.float32(0.05)))


@pytest.mark.parametrize("bias", [[0.0, 0.35, 0.1], [1e-4, 0.0, 0.0], [0.0, 0.0, 1e12], [np.nan, 0, 0], [np.inf, 0, 0]])
def test_any_other_bias_stays_real(bias: list[float]) -> None:
    given = np.array(bias, np.float32)
    found = epilogue(SCALE, given, RELU6, None, Quant(0.05))
    assert not found.steps
    assert found.activation == RELU6
    np.testing.assert_array_equal(found.bias, given)
    np.testing.assert_array_equal(found.scale, SCALE.astype(np.float32))


def test_results_in_steps_need_a_result_of_int8_and_no_residual() -> None:
    zero = np.zeros(3, np.float32)
    assert epilogue(SCALE, zero, NONE, None, Quant(0.05)).bias is None
    assert epilogue(SCALE, None, NONE, None, Quant(0.05)).steps
    assert not epilogue(SCALE, None, NONE, Quant(0.1), Quant(0.05)).steps
    assert not epilogue(SCALE, None, NONE, None, None).steps


def test_a_bias_counts_where_sums_may_overflow() -> None:
    rows = np.full((2, 1 << 15), 127, np.int8)
    assert not may_overflow(rows, np.array([0, 1 << 30], np.int32))
    assert may_overflow(rows, np.array([0, -(1 << 30) - (1 << 26) - (1 << 25)], np.int32))
    assert not may_overflow(rows, np.array([0, 2e9], np.float32))
    assert may_overflow(rows.astype(np.int16) * 3)
