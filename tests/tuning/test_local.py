"""Whole engines compared: a drift that hits both is no noise."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

import ingot
from ingot.builder.tuning.costs import Cost
from ingot.builder.tuning.keys import Timing
from ingot.builder.tuning.local import Local, compared


@pytest.fixture(scope="module")
def digits() -> bytes:
    model = resources.files("ingot.examples") / "digits/digits_cnn.onnx"
    return bytes(ingot.build(model.read_bytes(), self_test=False).bytes)


def cost(timing: Timing) -> Cost:
    return Cost(timing.median_ns, timing)


def test_a_drift_of_both_hides_no_difference() -> None:
    drift = np.linspace(100.0, 200.0, 21)
    default, chosen = compared([np.stack([drift, drift * 0.98], axis=1)] * 4)
    assert cost(chosen).replaces(cost(default)) and not cost(default).replaces(cost(chosen))
    assert 0.97 * default.median_ns < chosen.median_ns < 0.99 * default.median_ns


def test_noise_of_one_is_noise() -> None:
    rng = np.random.default_rng(2)
    places = [np.stack([np.full(5, 100.0), 100.0 + rng.normal(0.0, 5.0, 5)], axis=1) for _ in range(4)]
    default, chosen = compared(places)
    assert chosen.spread_ns > 0.5 and not cost(chosen).replaces(cost(default))


def test_a_lucky_place_is_no_reason() -> None:
    """Steady in each of four places, but faster in some and slower in others."""
    places = [np.tile([100.0, 100.0 + shift], (50, 1)) for shift in (-10.0, -9.0, 8.0, -2.0)]
    default, chosen = compared(places)
    assert chosen.median_ns < 95.0 and not cost(chosen).replaces(cost(default))


def test_engines_are_run(digits: bytes) -> None:
    found = Local().programs([digits, digits], threads=1)
    assert len(found) == 2 and all(timing.median_ns > 0 and timing.samples >= 5 for timing in found)
