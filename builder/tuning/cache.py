"""The timing cache: a text file of measured times, sorted, that can be merged, committed and edited.

docs/timing-cache.md gives its lines. An entry of another target, of a kernel that is not there or of an older abi of
it is never used: it stays in the file until it is pruned.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingot.builder.errors import CacheError
from ingot.builder.files import write_text
from ingot.builder.tuning.keys import Key, Timing, code_digests
from ingot.errors import BuildError

HEADER = "ingot timing cache 1"
_SHA = "sha256 "


@dataclass(slots=True)
class TimingCache:
    """Times by what they belong to; ``remarks`` say where they were measured."""

    entries: dict[Key, Timing] = field(default_factory=dict)
    remarks: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TimingCache:
        """Read a cache; :class:`BuildError` when it cannot be read, :class:`CacheError` when it is damaged."""
        try:
            raw = Path(path).read_bytes()
        except OSError as error:
            raise BuildError(f"{os.fspath(path)}: {error.strerror or error}") from None
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CacheError(path, raw[: error.start].count(b"\n") + 1, "not a timing cache: no UTF-8") from None
        *lines, rest = text.replace("\r\n", "\n").split("\n")
        if not lines or lines[0] != HEADER:
            first = lines[0] if lines else rest
            kind = "of another version" if first.startswith(HEADER.rsplit(" ", 1)[0]) else "not a timing cache"
            raise CacheError(path, 1, f"{kind}: the first line is not {HEADER!r}")
        found = cls()
        for number, line in enumerate(lines[1:], 2):
            if line.startswith(_SHA):
                _check_end(path, lines, number, rest)
            elif line.startswith("#"):
                found.remarks.add(line)
            else:
                found.add(*_parse(path, number, line))
        return found  # without a checksum it was interrupted, and `rest` is a line that was cut off

    def text(self) -> str:
        """The content of the file."""
        entries = sorted(f"{key.text}\t{fields(timing)}" for key, timing in self.entries.items())
        body = "".join(f"{line}\n" for line in [HEADER, *sorted(self.remarks), *entries])
        return f"{body}{_SHA}{hashlib.sha256(body.encode()).hexdigest()}\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the cache under a temporary name, then rename it: what was there is lost only to what replaces it."""
        write_text(path, self.text())

    def add(self, key: Key, timing: Timing) -> None:
        """Keep the timing, or the one that is there when that is the better one."""
        here = self.entries.get(key)
        self.entries[key] = timing if here is None else better(here, timing)


def fields(timing: Timing) -> str:
    """The timing as it ends a line of the file."""
    return f"{timing.median_ns:.1f}\t{timing.spread_ns:.1f}\t{timing.samples}"


def as_kept(timing: Timing) -> Timing:
    """The timing as it is read back from a file: who chooses by it chooses the same now and later."""
    return Timing(max(float(f"{timing.median_ns:.1f}"), 0.1), float(f"{timing.spread_ns:.1f}"), timing.samples)


def better(one: Timing, other: Timing) -> Timing:
    """Of two timings of one key that of more samples, then of the smaller spread: whichever came first."""
    return min(one, other, key=lambda t: (-t.samples, t.spread_ns, t.median_ns))


def _check_end(path: str | os.PathLike[str], lines: list[str], number: int, rest: str) -> None:
    body = "".join(f"{line}\n" for line in lines[: number - 1])
    if lines[number - 1] != f"{_SHA}{hashlib.sha256(body.encode()).hexdigest()}":
        raise CacheError(path, number, "damaged: the lines above do not have this SHA-256; remove the line after edits")
    if number < len(lines) or rest:
        raise CacheError(path, number + 1, "damaged: something stands behind the end")


def _parse(path: str | os.PathLike[str], number: int, text: str) -> tuple[Key, Timing]:
    try:
        *key, median, spread, samples = text.split("\t")
        found = Key.parse("\t".join(key))
        timing = Timing(float(median), float(spread), int(samples))
    except ValueError:
        want = "TARGET PROBLEM TACTIC ABI THREADS MEDIAN SPREAD SAMPLES, tabs between them"
        raise CacheError(path, number, f"damaged: want {want}") from None
    if not (0 < timing.median_ns < math.inf and 0 <= timing.spread_ns < math.inf and timing.samples > 0):
        raise CacheError(path, number, "damaged: a median above 0, a spread of 0 or more and a count of samples")
    return found, timing


@dataclass(frozen=True, slots=True)
class Outdated:
    """How many entries a build with this target and these kernels leaves alone, and why."""

    targets: int = 0
    kernels: int = 0
    abis: int = 0
    code: int = 0

    @property
    def total(self) -> int:
        return self.targets + self.kernels + self.abis + self.code

    def __str__(self) -> str:
        parts = (
            (self.targets, "of other targets"),
            (self.kernels, "of unknown kernels"),
            (self.abis, "of other abis"),
            (self.code, "of kernels whose source has changed"),
        )
        return ", ".join(f"{count} {what}" for count, what in parts if count) or "none"


def usable(cache: TimingCache, abis: Mapping[str, int], targets: Collection[str]) -> tuple[dict[Key, Timing], Outdated]:
    """The entries to trust, and a count of the others: for these targets, and kernels of these abis, by name."""
    kept: dict[Key, Timing] = {}
    foreign = unknown = old = changed = 0
    for key, timing in sorted(cache.entries.items()):
        kernel, code = key.tactic.partition(" ")[0], key.tactic.partition(" @")[2]
        if key.target not in targets:
            foreign += 1
        elif kernel != PLAN and kernel not in abis:
            unknown += 1
        elif kernel != PLAN and abis[kernel] != key.abi:
            old += 1
        elif code and code not in code_digests():
            changed += 1
        else:
            kept[key] = timing
    return kept, Outdated(foreign, unknown, old, changed)


#: in the place of a kernel: the time of a whole program
PLAN = "plan"


def merge(caches: Iterable[TimingCache]) -> TimingCache:
    """All entries; where several have one, the better. The order of the caches makes no difference."""
    result = TimingCache()
    for cache in caches:
        result.remarks |= cache.remarks
        for key, timing in cache.entries.items():
            result.add(key, timing)
    return result


def diff(one: TimingCache, other: TimingCache) -> list[tuple[Key, Timing | None, Timing | None]]:
    """The entries that are not the same in both, sorted."""
    keys = sorted(one.entries.keys() | other.entries.keys())
    pairs = ((key, one.entries.get(key), other.entries.get(key)) for key in keys)
    return [(key, a, b) for key, a, b in pairs if a != b]
