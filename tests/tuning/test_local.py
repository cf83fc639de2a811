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
    default, chosen = compared([drift, drift * 0.98])
    assert cost(chosen).replaces(cost(default)) and not cost(default).replaces(cost(chosen))
    assert 0.97 * default.median_ns < chosen.median_ns < 0.99 * default.median_ns


def test_noise_of_one_is_noise() -> None:
    rng = np.random.default_rng(2)
    default, chosen = compared([np.full(21, 100.0), 100.0 + rng.normal(0.0, 5.0, 21)])
    assert chosen.spread_ns > 0.5 and not cost(chosen).replaces(cost(default))


def test_engines_are_run(digits: bytes) -> None:
    found = Local().programs([digits, digits], threads=1)
    assert len(found) == 2 and all(timing.median_ns > 0 and timing.samples >= 5 for timing in found)
