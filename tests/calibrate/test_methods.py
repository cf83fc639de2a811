"""Thresholds of known distributions, and the divergence against a plain implementation of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ingot.builder.calibrate import methods
from ingot.builder.calibrate.histogram import Histogram


def histogram(x: np.ndarray) -> Histogram:
    h = Histogram()
    h.add(np.asarray(x, np.float32))
    return h


def normal(count: int = 200_000) -> np.ndarray:
    return np.random.default_rng(1).normal(size=count).astype(np.float32)


def squared_error(x: np.ndarray, amax: float) -> float:
    """Of rounding to INT8, element by element."""
    x, step = x.astype(np.float64), amax / 127
    return float(np.mean((x - np.clip(np.rint(x / step), -127, 127) * step) ** 2))


def plain_divergence(counts: np.ndarray, end: int, levels: int = 128) -> float:
    """KL(P || Q) as the descriptions of TensorRT's calibrator have it, bin by bin."""
    p = counts[:end].copy()
    p[-1] += counts[end:].sum()
    q = np.zeros(end)
    group = [min(i * levels // end, levels - 1) for i in range(end)]
    for level in range(levels):
        members = [i for i in range(end) if group[i] == level]
        used = [i for i in members if counts[i] > 0]
        for i in used:
            q[i] = sum(counts[j] for j in members) / len(used)
    p, q = p / p.sum(), q / q.sum()
    if any(b == 0 and a > 0 for a, b in zip(p, q)):
        return math.inf
    return sum(a * math.log(a / b) for a, b in zip(p, q) if a > 0)


class TestEntropy:
    @pytest.mark.parametrize("kind", ["normal", "relu", "laplace", "sparse"])
    def test_divergence_is_that_of_a_plain_implementation(self, kind: str) -> None:
        random = np.random.default_rng(2)
        counts = {
            "normal": np.histogram(np.abs(random.normal(size=50_000)), 512)[0],
            "relu": np.histogram(np.maximum(random.normal(size=50_000), 0), 512)[0],
            "laplace": np.histogram(np.abs(random.laplace(size=50_000)), 512)[0],
            "sparse": np.where(random.random(512) < 0.7, 0, random.integers(0, 9, 512)),
        }[kind].astype(np.float64)
        found = methods.divergences(counts)
        for end in (128, 129, 131, 200, 255, 256, 383, 511, 512):
            plain = plain_divergence(counts, end)
            assert found[end - 128] == pytest.approx(plain, rel=1e-9, abs=1e-12), end

    def test_linear_bins_are_the_plain_histogram_where_edges_agree(self) -> None:
        x = np.abs(normal())
        x = x[x < 2]
        x[0] = 2.0  # edges of multiples of 2 / 2048 are edges of octave bins from 1 on
        bins = methods.linear_bins(histogram(x))
        plain = np.histogram(x, methods.LINEAR_BINS, (0, 2))[0]
        assert bins.sum() == pytest.approx(x.size)
        np.testing.assert_allclose(bins[1024:-1], plain[1024:-1], atol=1e-6)
        np.testing.assert_allclose(np.cumsum(bins), np.cumsum(plain), atol=60)

    def test_an_outlier_is_cut_off(self) -> None:
        x = np.append(np.clip(normal(), -4, 4), np.linspace(4, 40, 50))
        assert 2 < methods.entropy(histogram(x)) < 20

    def test_a_uniform_distribution_is_kept(self) -> None:
        x = np.random.default_rng(1).uniform(-1, 1, 100_000)
        assert methods.entropy(histogram(x)) > 0.98


class TestMeanSquaredError:
    @pytest.mark.parametrize("amax", [0.5, 2.0, 3.3, 4.5, 8.0])
    def test_what_is_measured_is_the_error(self, amax: float) -> None:
        x = normal()
        assert methods.Error(histogram(x))(amax) == pytest.approx(squared_error(x, amax), rel=0.02)

    def test_the_best_threshold_of_a_normal_distribution(self) -> None:
        # Rounding amax^2 / (3 * 254^2) against saturation: the sum has its minimum near 3.9 standard deviations.
        assert methods.mse(histogram(normal(1_000_000))) == pytest.approx(3.9, abs=0.2)

    def test_no_threshold_is_better(self) -> None:
        x = np.random.default_rng(5).laplace(size=100_000).astype(np.float32)
        found = methods.mse(histogram(x))
        least = min(squared_error(x, t) for t in np.linspace(found / 3, np.abs(x).max(), 60))
        assert squared_error(x, found) <= least * 1.03


class TestOthers:
    def test_minmax(self) -> None:
        assert methods.minmax(histogram([-3.5, 1.0, 2.0])) == 3.5

    def test_percentile(self) -> None:
        x = np.arange(1, 10_001, dtype=np.float32)
        assert methods.percentile(histogram(x)) == pytest.approx(9999, rel=1e-3)
        assert methods.percentile(histogram(x), percent=50) == pytest.approx(5000, rel=1e-3)
        assert methods.percentile(histogram(x), percent=100) == 10_000

    def test_percentile_counts_zeros(self) -> None:
        x = np.append(np.zeros(1_000_000), [1.0, 2.0, 3.0])
        assert methods.percentile(histogram(x)) == pytest.approx(1, rel=1e-3)


class TestAuto:
    def test_has_the_least_error_but_for_a_hair(self) -> None:
        for x in (normal(), np.abs(normal()), np.append(normal(), [100.0]), np.linspace(-1, 1, 999)):
            h = histogram(x)
            errors = {name: methods.choose(h, name).error for name in methods.METHODS}
            found = methods.choose(h)
            assert found.error <= min(errors.values()) * 1.02
            assert found.error == errors[found.method]

    def test_of_equals_the_widest(self) -> None:
        assert methods.choose(histogram(np.linspace(-1, 1, 9999))).method == "minmax"


@pytest.mark.parametrize("method", methods.NAMES)
@pytest.mark.parametrize("x", [[], [0.0, 0.0], [1e-45], [3.0], [np.finfo(np.float32).max, 1.0], [2.0**-126] * 3])
def test_strange_tensors(method: str, x: list[float]) -> None:
    choice = methods.choose(histogram(x), method)
    assert 0 <= choice.amax < math.inf and choice.error >= 0


@pytest.mark.parametrize("method", methods.NAMES)
def test_same_threshold_whatever_the_order(method: str) -> None:
    x = normal(10_000)
    one, other = histogram(x), histogram(x[:3000])
    rest = histogram(x[3000:][::-1])
    rest.merge(other)
    assert methods.choose(one, method) == methods.choose(rest, method)
