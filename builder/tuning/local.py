"""Measures on the machine that builds: steps in tuning packs, whole engines in turns. Or writes packs for another."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

import ingot
from ingot.builder.tuning.keys import Candidate, Key, Timing
from ingot.builder.tuning.measure import machine, measure
from ingot.builder.tuning.pack import make_packs
from ingot.targets import Target

#: whole engines: a sample lasts so long; rounds end when the spread is this share of the time, or after so many seconds
SAMPLE_SECONDS, CERTAIN, SECONDS = 0.01, 0.0025, 8.0
LEAST_ROUNDS, MOST_ROUNDS = 11, 400


class Local:
    """A :class:`ingot.builder.tuning.tuner.Measurer`."""

    def remark(self) -> str:
        """A line about this machine."""
        return f"# machine {machine()}"

    def steps(
        self,
        candidates: Sequence[Candidate],
        target: Target,
        threads: int,
        between_bytes: int,
        log: Callable[[str], None] | None,
    ) -> Iterator[Mapping[Key, Timing]]:
        """Times of the candidates, problem by problem as they are done."""
        total, before = len({candidate.problem for candidate in candidates}), 0
        for raw in make_packs(candidates, target, between_bytes=between_bytes):
            for times in measure(raw, threads=threads):
                before += 1
                if log:
                    log(f"measuring tactics: {before} of {total} steps")
                yield times

    def programs(self, engines: Sequence[bytes], threads: int) -> list[Timing]:
        """Times of whole engines, one sample of each in turn; equal inputs, equal numbers of runs.

        Spreads are those of the difference from the first engine, round by round: what hits both is no noise here.
        """
        contexts = [ingot.load(raw).context(threads=threads) for raw in engines]
        for context in contexts:
            _fill(context)
            context.run()
        once = min(_sample(context, 1) for context in contexts)
        runs = max(1, math.ceil(SAMPLE_SECONDS / max(once, 1e-9)))
        samples: list[list[float]] = [[] for _ in contexts]
        end = time.monotonic() + SECONDS
        for done in range(MOST_ROUNDS):
            if done >= LEAST_ROUNDS and (time.monotonic() > end or _certain(compared(samples))):
                break
            order = range(len(contexts))
            for i in order if done % 2 else reversed(order):
                samples[i].append(_sample(contexts[i], runs) * 1e9)
        return compared(samples)


class Packer(Local):
    """Measures nothing: what would be measured is written into tuning packs, ``path`` and, if need be, more."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.written: list[Path] = []

    def steps(
        self,
        candidates: Sequence[Candidate],
        target: Target,
        threads: int,
        between_bytes: int,
        log: Callable[[str], None] | None,
    ) -> Iterator[Mapping[Key, Timing]]:
        """No times."""
        for index, raw in enumerate(make_packs(candidates, target, between_bytes=between_bytes)):
            name = f"{self.path.stem}.{index + 1}{self.path.suffix}" if index else self.path.name
            path = self.path.with_name(name)
            path.write_bytes(raw)
            self.written.append(path)
        yield from ()

    def programs(self, engines: Sequence[bytes], threads: int) -> list[Timing]:
        """No times."""
        return []


def compared(samples: Sequence[Sequence[float]]) -> list[Timing]:
    """Timings of engines from their samples, round by round.

    The first has its median; each other has that plus the median of its differences from the first. A spread is the
    standard error of that median: 0.93 times the interquartile range over the root of the number of rounds.
    """
    first = np.asarray(samples[0])
    differences = [np.asarray(times) - first for times in samples]
    quartiles = [np.percentile(each, (25, 50, 75)) for each in differences]
    spreads = [0.93 * float(high - low) / math.sqrt(len(first)) for low, _, high in quartiles]
    median = float(np.median(first))
    return [Timing(median + float(q[1]), spread, len(first)) for q, spread in zip(quartiles, spreads)]


def _certain(timings: Sequence[Timing]) -> bool:
    return all(timing.spread_ns <= CERTAIN * timing.median_ns for timing in timings)


def _sample(context: ingot.Context, runs: int) -> float:
    """Seconds of a run, the mean of some."""
    start = time.perf_counter()
    for _ in range(runs):
        context.run()
    return (time.perf_counter() - start) / runs


def _fill(context: ingot.Context) -> None:
    """Inputs that look like data: floats from a normal distribution, integers all zero, which any index may be."""
    rng = np.random.default_rng(1)
    for array in context.inputs.values():
        array[...] = rng.standard_normal(array.shape) if array.dtype.kind == "f" else 0
