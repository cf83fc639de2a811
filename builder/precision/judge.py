"""How far the outputs of a mixed engine are off: against the float engine on samples, and against labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_DECIBELS = 200.0


@dataclass(slots=True)
class Distance:
    """Norm of the difference over norm of the reference, over all samples; of whole numbers the share that differs.

    Of a reference that is all zeros the norm of the difference. NaN where the reference has NaN is no difference.
    """

    difference: float = 0.0
    reference: float = 0.0
    squares: bool = False

    def add(self, got: np.ndarray, wanted: np.ndarray) -> None:
        """Count in the results for one sample."""
        if wanted.dtype.kind != "f":
            self.difference += float(np.count_nonzero(got != wanted))
            self.reference += wanted.size
            return
        a, b = got.astype(np.float64), wanted.astype(np.float64)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.where(same, 0.0, a - b)
        self.difference += math.inf if not np.isfinite(gap).all() else _squares(gap)
        self.reference += _squares(np.where(np.isfinite(b), b, 0.0))
        self.squares = True

    @property
    def relative(self) -> float:
        """The error; 0 where nothing was counted."""
        if self.squares:
            difference, reference = math.sqrt(self.difference), math.sqrt(self.reference)
        else:
            difference, reference = self.difference, self.reference
        return difference / reference if reference else difference

    @property
    def decibels(self) -> float:
        """The signal-to-noise ratio of floats: 10 log10 of the quotient of the squares, from -200 to 200.

        That is 200 without any noise, and -200 where there is nothing else.
        """
        if not self.difference:
            return MOST_DECIBELS
        ratio = self.reference / self.difference
        return max(min(10 * math.log10(ratio), MOST_DECIBELS), -MOST_DECIBELS) if ratio else -MOST_DECIBELS


def _squares(x: np.ndarray) -> float:
    """The sum of squares, from left to right on any machine."""
    flat = x.reshape(-1)
    return float(np.cumsum(flat * flat)[-1]) if flat.size else 0.0


def distances(got: Sequence[Sequence[np.ndarray]], wanted: Sequence[Sequence[np.ndarray]]) -> list[float]:
    """The error of each output; results are given by sample, then by output."""
    found = [Distance() for _ in wanted[0]]
    for one, other in zip(got, wanted):
        for distance, a, b in zip(found, one, other):
            distance.add(a, b)
    return [distance.relative for distance in found]
