"""What a candidate costs: its measured time, else the roofline's, brought to the level of what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ingot.builder.tuning.keys import Candidate, Key, Timing, named
from ingot.builder.tuning.roofline import Roofline

#: a guess replaces a default that takes more than this many times as long
CLEARLY = 1.25
#: the same of two ways to cut the work of one CUDA kernel, which a model was made to tell apart
ALIKE = 1.05


@dataclass(frozen=True, slots=True)
class Cost:
    """Nanoseconds, and how well they are known: ``timing`` is set where they were measured.

    ``telling``: a guess that says something of this tactic, not only of the work to be done.
    """

    ns: float
    timing: Timing | None = None
    telling: bool = False

    def replaces(self, incumbent: Cost, alike: bool = False) -> bool:
        """Whether this may take the place of what is there: by more than the noise of both, or, guessed, clearly; less
        so where both are ``alike``."""
        if self.timing and incumbent.timing:
            noise = max(self.timing.spread_ns, incumbent.timing.spread_ns)
            return incumbent.ns - self.ns > 2 * noise
        if incumbent.timing:
            return False  # what was measured gives way to nothing but a better measurement
        known = (self.timing is not None or self.telling) and incumbent.telling
        return known and self.ns * (ALIKE if alike else CLEARLY) < incumbent.ns

    def __add__(self, other: Cost) -> Cost:
        """The cost of one after the other."""
        timing = None
        if self.timing and other.timing:
            spread = self.timing.spread_ns + other.timing.spread_ns
            timing = Timing(self.ns + other.ns, spread, min(self.timing.samples, other.timing.samples))
        known = all(each.timing is not None or each.telling for each in (self, other))
        return Cost(self.ns + other.ns, timing, known)


class Costs:
    """Costs on one target for one number of threads. ``timings`` are those that can be trusted."""

    def __init__(
        self, model: Roofline, target: str, threads: int, abis: Mapping[str, int], timings: Mapping[Key, Timing]
    ) -> None:
        self.model = model
        self.target, self.threads, self.abis = target, threads, abis
        self.timings = dict(timings)
        self.factors: dict[str, float] = {}

    def key(self, candidate: Candidate) -> Key:
        tactic = named(candidate.tactic, candidate.node, self.model.target)
        return Key(self.target, candidate.problem, tactic, self.abis.get(candidate.tactic.kernel, 0), self.threads)

    def timing(self, candidate: Candidate) -> Timing | None:
        return self.timings.get(self.key(candidate))

    def calibrate(self, candidates: Iterable[Candidate]) -> None:
        """How much longer than modelled the steps take that were measured, by kernel; "" for all of them."""
        ratios: dict[str, list[float]] = {}
        for candidate in candidates:
            timing = self.timings.get(self.key(candidate))
            if timing and not timing.is_wrong and candidate.tactic.kernel:
                ratio = timing.median_ns / self.model.ns(candidate.node)
                ratios.setdefault(candidate.tactic.kernel, []).append(ratio)
                ratios.setdefault("", []).append(ratio)
        self.factors = {kernel: statistics.median(found) for kernel, found in sorted(ratios.items())}

    def of(self, candidate: Candidate) -> Cost:
        """The cost of the candidate; a tactic without a kernel costs nothing."""
        kernel = candidate.tactic.kernel
        if not kernel:
            return Cost(0.0, telling=True)
        timing = self.timing(candidate)
        if timing:
            return Cost(timing.median_ns, timing)
        factor = self.factors.get(kernel, self.factors.get("", 1.0))
        telling = candidate.tactic.efficiency is not None and not self.model.assumed
        return Cost(self.model.ns(candidate.node) * factor, None, telling)

    def copy_ns(self, nbytes: int) -> float:
        return self.model.copy_ns(nbytes) * self.factors.get("strided_copy", self.factors.get("", 1.0))
