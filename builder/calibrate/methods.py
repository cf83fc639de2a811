"""From a histogram to a threshold: the magnitude at which an INT8 tensor saturates.

That is 127 steps from zero, or 255 for a tensor that cannot be negative.

All of it is float64, summed from left to right, so that any machine finds the same threshold.

``minmax``      the largest magnitude seen: nothing saturates
``percentile``  99.99 % of all elements, zeros included, lie within
``entropy``     the least Kullback-Leibler divergence between the distribution and its 128-level form, as TensorRT's
                EntropyCalibrator2 does it: 2048 linear bins, every end from bin 128 on (the published description;
                the zeros' bin takes the count of its neighbour)
``mse``         the least mean squared error of rounding and saturation
``auto``        of these, per tensor, the one with the least mean squared error measured on the histogram; of errors
                within 2 % of each other the widest range, which saturates least on data never seen
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ingot.builder.calibrate.histogram import Histogram

LEVELS, UNSIGNED_LEVELS = 127, 255  #: steps between zero and the threshold
PERCENTILE = 99.99
LINEAR_BINS, LEAST_BINS, ENTROPY_LEVELS = 2048, 128, 128
#: thresholds an octave, and octaves below the largest magnitude, that ``mse`` tries
MSE_STEPS, MSE_OCTAVES = 16, 12
#: divergences closer than this are equal: the last bit of a logarithm differs between machines
_EQUAL = 1e-9
_ALIKE = 1.02


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold, the method that found it, and the mean squared error of quantising with it over the mean square."""

    amax: float
    method: str
    error: float


def minmax(histogram: Histogram, levels: int = LEVELS) -> float:
    """The largest magnitude."""
    return histogram.amax


def percentile(histogram: Histogram, levels: int = LEVELS, percent: float = PERCENTILE) -> float:
    """The least bin edge within which ``percent`` of the elements lie."""
    _, upper, counts = histogram.bins()
    if not counts.size:
        return 0.0
    within = histogram.zeros + np.cumsum(counts)
    # A product of integers where it can be: 0.9999 has no exact form.
    index = int(np.searchsorted(within * 1e4, histogram.total * round(percent * 100)))
    return float(upper[min(index, upper.size - 1)])


def entropy(histogram: Histogram, levels: int = LEVELS) -> float:
    """The threshold with the least divergence."""
    amax = histogram.amax
    if not amax:
        return 0.0
    counts = linear_bins(histogram)
    counts[0] = counts[1]
    found = divergences(counts)
    best = float(found.min())
    if best == math.inf:
        return amax
    last = int(np.flatnonzero(found <= best + _EQUAL * max(1.0, abs(best)))[-1])
    return amax * (last + LEAST_BINS) / LINEAR_BINS


def linear_bins(histogram: Histogram) -> np.ndarray:
    """Counts (float64) in 2048 equal bins from 0 to the largest magnitude; a bin that straddles an edge is shared."""
    lower, upper, counts = histogram.bins()
    below = np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)])
    edges = histogram.amax * np.arange(LINEAR_BINS + 1) / LINEAR_BINS
    index = np.clip(np.searchsorted(lower, edges, side="right") - 1, 0, None)
    width = upper[index] - lower[index]
    part = np.clip((edges - lower[index]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
    within = below[index] + counts[index] * part
    within[-1] = below[-1]
    bins = np.maximum(within[1:] - within[:-1], 0.0)
    bins[0] += histogram.zeros
    return bins


def divergences(counts: np.ndarray) -> np.ndarray:
    """KL(P || Q) for every end from 128 on, float64; infinite where Q has nothing and P something.

    P are the bins before the end, the last with all that is beyond; Q the same bins without that, in 128 levels, each
    level spread evenly over its bins that hold something. All ends at once: sums of bins are differences of prefix
    sums, and log Q is the same within a level, so ``sum p log(p / q)`` needs one logarithm a level.
    """
    ends = np.arange(LEAST_BINS, counts.size + 1)
    starts = -(-np.arange(ENTROPY_LEVELS + 1) * ends[:, np.newaxis] // ENTROPY_LEVELS)
    mass_below, members_below, own_below = map(_prefix, (counts, (counts > 0).astype(np.int64), _x_log_x(counts)))
    members = np.diff(members_below[starts])
    mass = np.where(members, np.maximum(np.diff(mass_below[starts]), np.finfo(np.float64).tiny), 0.0)
    beyond, last = mass_below[-1] - mass_below[ends], counts[ends - 1]
    wanted = mass.copy()
    wanted[:, -1] += beyond
    logs = np.log(np.where(members, mass, 1.0) / np.maximum(members, 1))
    own = own_below[ends - 1] + _x_log_x(last + beyond)
    total_p, total_q = mass_below[-1], mass_below[ends]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (own - np.cumsum(wanted * logs, axis=1)[:, -1]) / total_p - np.log(total_p) + np.log(total_q)
    # Tails of nothing but what sharing a bin left over are empty.
    return np.where((total_q <= 0) | ((last <= 0) & (beyond > 0.5)), np.inf, found)


def _prefix(x: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, ... elements."""
    return np.concatenate([np.zeros(1, x.dtype), np.cumsum(x)])


def _sum(x: np.ndarray) -> float:
    """From left to right: how NumPy's own sum groups its terms differs between builds."""
    return float(np.cumsum(x)[-1]) if x.size else 0.0


def _x_log_x(x: np.ndarray) -> np.ndarray:
    return x * np.log(np.where(x > 0, x, 1.0))


def mse(histogram: Histogram, levels: int = LEVELS) -> float:
    """The threshold with the least squared error, among 16 an octave."""
    amax = histogram.amax
    if not amax:
        return 0.0
    measure = Error(histogram, levels)
    tried = [amax * 2.0 ** (-step / MSE_STEPS) for step in range(MSE_STEPS * MSE_OCTAVES)]
    errors = [measure(threshold) for threshold in tried]
    return tried[min(range(len(tried)), key=errors.__getitem__)]  # the widest of equals


class Error:
    """The mean squared error of rounding to INT8, measured on a histogram: every bin stands for its middle."""

    def __init__(self, histogram: Histogram, levels: int = LEVELS) -> None:
        self.levels = levels
        lower, upper, counts = histogram.bins()
        self.middles, self.counts = (lower + upper) / 2, counts.astype(np.float64)
        weighted = [self.counts, self.counts * self.middles, self.counts * self.middles**2]
        self._below = [np.concatenate([[0.0], np.cumsum(w)]) for w in weighted]
        self.total = max(histogram.total, 1)
        self.square = float(self._below[2][-1]) / self.total  #: mean square of the tensor

    def __call__(self, amax: float) -> float:
        """The error of threshold ``amax``."""
        if amax <= 0:
            return self.square
        step = amax / self.levels
        small, large = np.searchsorted(self.middles, [step / 2, amax])
        middles = self.middles[small:large]
        rounding = middles - np.rint(middles / step) * step
        number, first, second = (float(b[-1] - b[large]) for b in self._below)
        saturation = max(second - 2 * amax * first + amax * amax * number, 0.0)
        return (float(self._below[2][small]) + _sum(self.counts[small:large] * rounding**2) + saturation) / self.total


METHODS: dict[str, Callable[[Histogram, int], float]] = {
    "minmax": minmax,
    "entropy": entropy,
    "percentile": percentile,
    "mse": mse,
}
NAMES = ("auto", *METHODS)


def choose(histogram: Histogram, method: str = "auto", levels: int = LEVELS) -> Choice:
    """The threshold by a method of :data:`NAMES`; ``levels`` are the steps from zero to it."""
    measure = Error(histogram, levels)
    names = METHODS if method == "auto" else [method]
    choices = []
    for name in names:
        amax = float(np.float32(METHODS[name](histogram, levels)))
        choices.append(Choice(amax, name, measure(amax) / measure.square if measure.square else 0.0))
    least = min(choice.error for choice in choices)
    return max((c for c in choices if c.error <= least * _ALIKE), key=lambda c: c.amax)
