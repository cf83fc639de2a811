"""Measures on the machine that builds: steps in tuning packs, whole engines in turns. Or writes packs for another."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

import ingot
from ingot.builder.cuda.instance import Compiler
from ingot.builder.tuning.keys import Candidate, Key, Timing
from ingot.builder.tuning.measure import Pack, measure
from ingot.builder.tuning.pack import make_packs
from ingot.device import devices
from ingot.errors import BuildError
from ingot.targets import Target

#: whole engines: a sample lasts so long; rounds end when the spread is this share of the time, or after so many seconds
SAMPLE_SECONDS, CERTAIN, SECONDS = 0.01, 0.0025, 8.0
#: how often an engine is loaded, and how many rounds there are, multiples of it
PLACES, LEAST_ROUNDS, MOST_ROUNDS = 4, 12, 400


def require_device(target: Target) -> None:
    """:class:`BuildError` where this machine has no CUDA device of the target's kind: times of others say nothing."""
    wanted = target.arch.rstrip("abcdefghijklmnopqrstuvwxyz"), target.figures["sm_count"]
    found, reason = devices()
    if any((each["arch"], each["multiprocessors"]) == wanted for each in found):
        return
    here = ", ".join(f"{d['name']}: {d['arch']} with {d['multiprocessors']}" for d in found) or f"none ({reason})"
    raise BuildError(
        f"target {target.name}: kernels are measured on a device of its kind alone: wanted {wanted[0]} with "
        f"{wanted[1]} multiprocessors, found {here}; ingot tune --pack writes what ingot-tune measures there, or give "
        "times as timing_cache"
    )


class Local:
    """A :class:`ingot.builder.tuning.tuner.Measurer`. ``compiler`` makes machine code of CUDA instead of NVRTC."""

    def __init__(self, compiler: Compiler | None = None) -> None:
        self.compiler = compiler
        self._pack: Pack | None = None

    def remark(self) -> str:
        """A line about the machine that was measured on last."""
        return f"# machine {self._pack.machine}"

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
        for raw in make_packs(candidates, target, between_bytes=between_bytes, compiler=self.compiler, log=log):
            for times in measure(raw, threads=threads, opened=self._open):
                before += 1
                if log:
                    log(f"measuring tactics: {before} of {total} steps")
                yield times
            if log:
                for key, why in self._pack.dropped.items():
                    log(f"left out: {key.tactic} for {key.problem}: {why}")

    def _open(self, pack: Pack) -> None:
        self._pack = pack

    def programs(self, engines: Sequence[bytes], threads: int) -> list[Timing]:
        """Times of whole engines, one sample of each in turn; equal inputs, equal numbers of runs.

        Where an engine and its memory happen to lie moves its time by some percent, so each is loaded several times.
        """
        placed = [[_ready(raw, threads) for raw in engines] for _ in range(PLACES)]
        clock = _clock(engines[0], threads)
        once = min(_sample(context, 1, clock) for context in placed[0])
        runs = max(1, math.ceil(SAMPLE_SECONDS / max(once, 1e-9)))
        samples: list[list[list[float]]] = [[] for _ in placed]  # by place, round and engine
        end = time.monotonic() + SECONDS
        for done in range(MOST_ROUNDS):
            here = done % PLACES
            if done >= LEAST_ROUNDS and not here and (time.monotonic() > end or _certain(compared(samples))):
                break
            order = range(len(engines)) if done // PLACES % 2 else reversed(range(len(engines)))
            times = {i: _sample(placed[here][i], runs, clock) * 1e9 for i in order}
            samples[here].append([times[i] for i in range(len(engines))])
        return compared(samples)


class Packer(Local):
    """Measures nothing: what would be measured is written into tuning packs, ``path`` and, if need be, more."""

    def __init__(self, path: str | os.PathLike[str], compiler: Compiler | None = None) -> None:
        super().__init__(compiler)
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
        packs = make_packs(candidates, target, between_bytes=between_bytes, compiler=self.compiler, log=log)
        for index, raw in enumerate(packs):
            name = f"{self.path.stem}.{index + 1}{self.path.suffix}" if index else self.path.name
            path = self.path.with_name(name)
            path.write_bytes(raw)
            self.written.append(path)
        yield from ()

    def programs(self, engines: Sequence[bytes], threads: int) -> list[Timing]:
        """No times."""
        return []


def compared(samples: Sequence[Sequence[Sequence[float]]]) -> list[Timing]:
    """Timings of engines from their samples, which are given by place, round and engine.

    The first engine has its median; each other has that plus the median of its differences from the first, round by
    round, so what hits both is no noise. A spread is the standard error of that median over rounds (0.93 times the
    interquartile range over the root of their number), or over places where that is larger.
    """
    every = np.concatenate([np.asarray(place) for place in samples])
    median, count = float(np.median(every[:, 0])), len(every)
    found = []
    for engine in range(every.shape[1]):
        low, middle, high = np.percentile(every[:, engine] - every[:, 0], (25, 50, 75))
        over_rounds = 0.93 * (high - low) / math.sqrt(count)
        places = [np.median(np.asarray(place)[:, engine] - np.asarray(place)[:, 0]) for place in samples]
        over_places = np.std(places, ddof=1) / math.sqrt(len(places)) if len(places) > 1 else 0.0
        found.append(Timing(median + float(middle), float(max(over_rounds, over_places)), count))
    return found


def _certain(timings: Sequence[Timing]) -> bool:
    return all(timing.spread_ns <= CERTAIN * timing.median_ns for timing in timings)


def _clock(raw: bytes, threads: int) -> Callable[[], float]:
    """The time of this thread where it does all the work: that does not run while others have the processor."""
    backends = {variant["backend"] for variant in ingot.load(raw).inspect()["variants"]}
    return time.thread_time if threads == 1 and backends == {"cpu"} else time.perf_counter


def _sample(context: ingot.Context, runs: int, clock: Callable[[], float]) -> float:
    """Seconds of a run, the mean of some."""
    start = clock()
    for _ in range(runs):
        context.run()
    return (clock() - start) / runs


def _ready(raw: bytes, threads: int) -> ingot.Context:
    """A context that has run: inputs look like data, floats normal, integers zero, which any index may be."""
    context = ingot.load(raw).context(threads=threads)
    rng = np.random.default_rng(1)
    for array in context.inputs.values():
        array[...] = rng.standard_normal(array.shape) if array.dtype.kind == "f" else 0
    context.run()
    return context
