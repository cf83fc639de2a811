"""Histograms of magnitudes whose bins do not depend on the data: counting is exact in any order and batching.

A bin is a float32 with its last 13 bits cut off: every octave [2^k, 2^(k+1)) has 1024 equal bins, from the smallest
subnormal to the largest number. So two histograms of the same values are equal whatever the order in which the values
came, and the histogram of two sets is the sum of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

#: linear bins an octave, as a power of two: an outermost bin is at most 1/1024 of the range wide
SUB_BITS = 10
_SHIFT = 23 - SUB_BITS
_MAGNITUDE, _INFINITE = np.uint32(0x7FFFFFFF), np.uint32(0x7F800000)
_BLOCK = 1 << 17  #: elements counted at a time; bounds the memory for temporaries


@dataclass(slots=True)
class Histogram:
    """Counts of |x| by bin, and of what needs more care: zeros, NaN, infinities. ``low`` and ``high`` are exact.

    ``counts[i]`` (int64) is for bin ``first + i``; bins are numbered by the leading bits of their numbers. Bin 0, of
    magnitudes below 1.2e-41, counts as zeros.
    """

    low: float = np.inf
    high: float = -np.inf
    zeros: int = 0
    nans: int = 0
    infinities: int = 0
    first: int = 0
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, array: np.ndarray) -> None:
        """Count the elements of an array of floats, each rounded to float32."""
        flat = np.ascontiguousarray(array).reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            with np.errstate(over="ignore"):
                self._add(flat[start : start + _BLOCK].astype(np.float32, copy=False))

    def _add(self, x: np.ndarray) -> None:
        magnitude = x.view(np.uint32) & _MAGNITUDE
        largest = magnitude.max()
        if largest >= _INFINITE:
            self.nans += int((magnitude > _INFINITE).sum())
            self.infinities += int((magnitude == _INFINITE).sum())
            finite = magnitude < _INFINITE
            x, magnitude = x[finite], magnitude[finite]
            if not x.size:
                return
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        counts = np.bincount(magnitude >> _SHIFT)
        self.zeros += int(counts[0])
        counts[0] = 0
        first = int(np.argmax(counts > 0))
        if first:
            self._merge(first, counts[first:])

    def _merge(self, first: int, counts: np.ndarray) -> None:
        if not self.counts.size:
            self.first, self.counts = first, np.array(counts, np.int64)
            return
        begin, end = min(self.first, first), max(self.first + self.counts.size, first + counts.size)
        if (begin, end - begin) != (self.first, self.counts.size):
            # Whole octaves, so that a range that creeps outwards is not copied again for every bin.
            begin, end = begin >> SUB_BITS << SUB_BITS, -(-end >> SUB_BITS) << SUB_BITS
            grown = np.zeros(end - begin, np.int64)
            grown[self.first - begin : self.first - begin + self.counts.size] = self.counts
            self.first, self.counts = begin, grown
        self.counts[first - self.first : first - self.first + counts.size] += counts

    def merge(self, other: Histogram) -> None:
        """Count in what another histogram has counted."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.zeros += other.zeros
        self.nans += other.nans
        self.infinities += other.infinities
        if other.counts.size:
            self._merge(other.first, other.counts)

    @property
    def total(self) -> int:
        """Finite elements counted."""
        return self.zeros + int(self.counts.sum())

    @property
    def amax(self) -> float:
        """The largest finite magnitude; 0 where nothing but zeros was seen, or nothing at all."""
        return max(abs(self.low), abs(self.high)) if self.counts.size else 0.0

    def bins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(lower edges float64, upper edges float64, counts int64) of the bins that hold something, in order.

        The last upper edge is ``amax``, beyond which there is nothing.
        """
        used = np.flatnonzero(self.counts)
        numbers = (used + self.first).astype(np.uint32)
        lower = (numbers << _SHIFT).view(np.float32).astype(np.float64)
        # The next bin after the last finite one begins at infinity: clipped by amax.
        upper = np.minimum(((numbers + 1) << _SHIFT).view(np.float32).astype(np.float64), self.amax)
        return lower, upper, self.counts[used]
