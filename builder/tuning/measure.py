"""A tuning pack measured in this process, by the C code that ``ingot-tune`` runs elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

import ingot
from ingot._native import check, ffi, lib, new_error
from ingot.builder.tuning.keys import Key, Timing

#: seconds that a problem may take at most; most are certain sooner
PROBLEM_SECONDS = 1.0


class Pack:
    """An opened tuning pack: memory and threads for its largest problem are taken here.

    :class:`ingot.IngotError` when the file is damaged, no pack, or for another processor.
    """

    def __init__(self, raw: bytes, threads: int = 1) -> None:
        self._engine = ingot.load(raw)
        made, error = ffi.new("ingot_tuner **"), new_error()
        check(lib.ingot_tuner_create(self._engine.handle.pointer, threads, made, error), error)
        self.tuner = made[0]
        self.count = lib.ingot_tuner_count(self.tuner)
        names = [ffi.string(lib.ingot_tuner_name(self.tuner, i)).decode() for i in range(self.count)]
        self.keys = [Key.parse(f"{name}\t{threads}") for name in names]
        #: one line about the machine that this measures on, for the head of a timing cache
        self.machine = ffi.string(lib.ingot_tuner_machine(self.tuner)).decode("utf-8", "replace")
        #: why candidates of what was measured have no time, or a wrong result
        self.dropped: dict[Key, str] = {}

    def __enter__(self) -> Pack:
        return self

    def __exit__(self, *_: object) -> None:
        lib.ingot_tuner_destroy(self.tuner)

    def problems(self) -> list[range]:
        """The candidates of each problem, by index."""
        found, first = [], 0
        while first < self.count:
            found.append(range(first, lib.ingot_tuner_next(self.tuner, first)))
            first = found[-1].stop
        return found

    def measure(self, problem: range, seconds: float) -> dict[Key, Timing]:
        """The candidates of a problem that can run."""
        timings, error = ffi.new("ingot_timing[]", len(problem)), new_error()
        check(lib.ingot_tuner_measure(self.tuner, problem.start, seconds, ffi.NULL, timings, error), error)
        reasons = {self.keys[index]: lib.ingot_tuner_reason(self.tuner, index) for index in problem}
        self.dropped |= {
            key: ffi.string(why).decode("utf-8", "replace") for key, why in reasons.items() if why != ffi.NULL
        }
        return {
            self.keys[index]: Timing(timing.median_ns, timing.spread_ns, timing.samples)
            for index, timing in zip(problem, timings)
            if timing.samples
        }


def measure(
    raw: bytes,
    *,
    threads: int = 1,
    seconds: float | None = None,
    known: Collection[Key] = (),
    progress: Callable[[int, int], None] | None = None,
    opened: Callable[[Pack], None] | None = None,
) -> Iterator[dict[Key, Timing]]:
    """Times of the pack's candidates, problem by problem as they are done: who stops in between has lost nothing.

    ``seconds`` bounds all of it, as far as three samples of each candidate allow. Problems whose keys are all ``known``
    are left out; else all candidates of one are measured again, so that they compare. ``progress`` is told how many of
    how many problems are done, ``opened`` the pack before the first.
    """
    with Pack(raw, threads) as pack:
        if opened:
            opened(pack)
        problems = [p for p in pack.problems() if any(pack.keys[i] not in known for i in p)]
        end = None if seconds is None else time.monotonic() + seconds
        for done, problem in enumerate(problems):
            share = PROBLEM_SECONDS
            if end is not None:
                share = min(share, max(end - time.monotonic(), 0.0) / (len(problems) - done))
            yield pack.measure(problem, share)
            if progress:
                progress(done + 1, len(problems))
