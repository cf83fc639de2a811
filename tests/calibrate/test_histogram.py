"""Counting is exact: it depends on the values alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingot.builder.calibrate import histogram
from ingot.builder.calibrate.histogram import Histogram

FLOATS = st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), max_size=40)


def state(h: Histogram) -> tuple:
    lower, upper, counts = h.bins()
    return h.low, h.high, h.zeros, h.nans, h.infinities, lower.tolist(), upper.tolist(), counts.tolist()


def counted(*arrays: np.ndarray) -> Histogram:
    h = Histogram()
    for array in arrays:
        h.add(np.asarray(array, np.float32))
    return h


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FLOATS, st.randoms(use_true_random=False), st.integers(0, 40))
def test_neither_order_nor_batching_matters(values: list[float], random, cut: int) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    whole = state(counted(values))
    assert whole == state(counted(shuffled[:cut], shuffled[cut:]))
    one, other = counted(shuffled[:cut]), counted(shuffled[cut:])
    one.merge(other)
    assert whole == state(one)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FLOATS)
def test_every_value_is_in_its_bin(values: list[float]) -> None:
    x = np.array(values, np.float32)
    h = counted(x)
    lower, upper, counts = h.bins()
    magnitude = np.abs(x[np.isfinite(x)]).astype(np.float64)
    assert h.total == magnitude.size == h.zeros + counts.sum()
    largest = magnitude.max(initial=0)
    assert h.amax == (largest if largest >= 2.0**-136 else 0)
    for a, b, n in zip(lower, upper, counts):
        last = b == h.amax
        assert n == ((magnitude >= a) & ((magnitude < b) | (last & (magnitude == b)))).sum()


def test_edges_are_parts_of_octaves() -> None:
    lower, upper, counts = counted([1.0, 1.0009765, 1.0009766, 1.9999, 2.0, 3.0]).bins()
    assert lower[:2].tolist() == [1.0, 1 + 1 / 1024] and counts[0] == 2
    assert upper[0] == 1 + 1 / 1024 and upper[-1] == 3.0 and lower[-1] == 3.0


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).normal(size=1000).astype(np.float32)
    whole = state(counted(x))
    monkeypatch.setattr(histogram, "_BLOCK", 64)
    assert state(counted(x.reshape(10, 100))) == whole


def test_other_floats() -> None:
    h = Histogram()
    h.add(np.array([1.5, -2.0], np.float16))
    h.add(np.array([1e300, 3.0], np.float64))
    assert (h.low, h.high, h.infinities, h.total) == (-2.0, 3.0, 1, 3)


def test_nothing() -> None:
    assert counted([]).amax == 0 and counted([0, -0.0]).amax == 0 and counted([np.inf, np.nan]).total == 0
