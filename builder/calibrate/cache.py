"""Calibration: the range of every tensor, and the text file that keeps it.

The file is sorted and has no times and no paths, so that it can be committed; the same data in any order or batching
give the same bytes. Its last line is the SHA-256 of the lines before (line ends as ``\\n``), so damage is found.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ingot.builder.calibrate import corrections, measurements, trt_cache, trt_extras
from ingot.builder.calibrate.aliases import under_both_names
from ingot.builder.calibrate.corrections import Corrections
from ingot.builder.calibrate.data import Sample, add_digests
from ingot.builder.errors import CacheError
from ingot.builder.files import write_text
from ingot.errors import BuildError

HEADER = "ingot calibration cache 1"
SOURCES = ("data", "synthetic", "tensorrt")
LEVELS = 127
#: the least scale: its reciprocal, by which kernels multiply, is a normal number too
LEAST_SCALE = float(np.finfo(np.float32).tiny)
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Range:
    """What a tensor was seen to hold, ``low`` to ``high``, and the magnitude ``amax`` at which its INT8 form saturates.

    ``method`` chose ``amax``; ``error`` is its mean squared quantisation error over the tensor's mean square, to three
    digits.
    """

    low: float
    high: float
    amax: float
    method: str = "-"
    error: float = 0.0

    def __str__(self) -> str:
        return f"{self.amax!r} {self.low!r} {self.high!r} {self.error!r} {self.method}"


@dataclass(slots=True)
class Calibration:
    """Ranges by tensor name. ``digest_model`` and ``digest_data`` are SHA-256 in hex, empty where nobody knows them.

    ``digest_data`` is the sum of the digests of all samples: no order, and the digest of two sets is their sum.
    """

    ranges: dict[str, Range]
    digest_model: str = ""
    digest_data: str = ""
    method: str = "auto"
    samples: int = 0
    source: str = "data"
    #: tensors without a range and why, for the log; not kept in the file
    skipped: dict[str, str] = field(default_factory=dict)
    #: what the model calls tensors, where that differs; see :mod:`.aliases`; not kept in the file
    aliases: dict[str, str] = field(default_factory=dict, compare=False)
    #: what the biases of layers gain; for the int8 graph that these ranges give
    corrections: Corrections = field(default_factory=Corrections, compare=False)
    #: a few samples, for what looks at the model once the ranges are known; not kept in the file
    kept: list[Sample] = field(default_factory=list, compare=False)
    #: the same for other choices of int8 layers, by the digest of the quantised graph
    choices: dict[str, Corrections] = field(default_factory=dict, compare=False)
    #: what was measured with these ranges, by :mod:`ingot.builder.precision.record`
    measured: dict[str, float] = field(default_factory=dict)

    def scale(self, name: str) -> float | None:
        """The scale of the symmetric INT8 form of a tensor, a float32 value; None for a tensor that was not seen."""
        found = self.ranges.get(name)
        if found is None:
            return None
        amax = found.amax or 1.0  # nothing but zeros: any scale holds them
        return max(float(np.float32(amax / LEVELS)), LEAST_SCALE)

    def translate(self, names: Mapping[str, str]) -> None:
        """Give values the ranges of what the model calls them: ``names`` from :func:`.aliases.aliases`."""
        for own, foreign in names.items():
            if foreign in self.ranges:
                self.ranges.setdefault(own, self.ranges[foreign])

    def text(self) -> str:
        """The content of the cache file."""
        lines = [
            HEADER,
            f"model {self.digest_model or '-'}",
            f"data {self.digest_data or '-'}",
            f"samples {self.samples}",
            f"source {self.source}",
            f"method {self.method}",
            f"tensors {len(self.ranges)}",
        ]
        lines += [f"{self.ranges[name]} {json.dumps(name, ensure_ascii=False)}" for name in sorted(self.ranges)]
        lines += corrections.lines(self.corrections)
        lines += measurements.lines(self.measured)
        lines.append(f"choices {len(self.choices)}")
        lines += [line for graph in sorted(self.choices) for line in corrections.lines(self.choices[graph])]
        body = "".join(f"{line}\n" for line in lines)
        return f"{body}sha256 {hashlib.sha256(body.encode()).hexdigest()}\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the cache: under a temporary name, then renamed, so that nobody ever sees half of it."""
        write_text(path, self.text())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read a cache, ours or TensorRT's; :class:`CacheError` when it is damaged."""
        try:
            raw = Path(path).read_bytes()
        except OSError as error:
            raise BuildError(f"{os.fspath(path)}: {error.strerror or error}") from None
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CacheError(path, raw[: error.start].count(b"\n") + 1, "not a calibration cache: no UTF-8") from None
        lines = text.replace("\r\n", "\n").split("\n")
        if trt_cache.is_header(lines[0]):
            return _from_tensorrt(path, lines)
        return _parse(path, lines)


def to_tensorrt(calibration: Calibration, version: int = trt_cache.VERSION) -> str:
    """The text of TensorRT's cache with the same scales, also under the names that TensorRT knows.

    What its format has no place for stands in it as scales of tensors that no model has; see :mod:`.trt_extras`.
    """
    scales = {name: calibration.scale(name) for name in calibration.ranges}
    spans = {name: (found.low, found.high) for name, found in calibration.ranges.items()}
    extras = trt_extras.dump(trt_extras.Extras(spans, calibration.corrections))
    return trt_cache.dump(under_both_names(calibration.aliases, scales) | extras, version)


def _from_tensorrt(path: str | os.PathLike[str], lines: list[str]) -> Calibration:
    try:
        scales = trt_cache.parse(lines)
        extras = trt_extras.take(scales)
    except trt_cache.FormatError as error:
        raise CacheError(path, error.line, error.what) from None
    ranges = {}
    for name, scale in scales.items():
        amax = scale * LEVELS  # exact in float64, and so is the way back
        ranges[name] = Range(*extras.spans.get(name, (-amax, amax)), amax)
    return Calibration(ranges, method="entropy", source="tensorrt", corrections=extras.corrections)


def _parse(path: str | os.PathLike[str], lines: list[str]) -> Calibration:
    if lines[0] != HEADER:
        kind = "a newer or older version" if lines[0].startswith(HEADER.rsplit(" ", 1)[0]) else "no calibration cache"
        raise CacheError(path, 1, f"{kind}: the first line is not {HEADER!r}")
    numbered = enumerate(lines[1:], 2)
    fields = {key: _field(path, key, numbered) for key in ("model", "data", "samples", "source", "method", "tensors")}
    for line, key in ((2, "model"), (3, "data")):
        if fields[key] != "-" and not (len(fields[key]) == 64 and set(fields[key]) <= _DIGITS):
            raise CacheError(path, line, f"{key} is not followed by a SHA-256 in hex")
    for line, key in ((4, "samples"), (7, "tensors")):
        if not (fields[key].isascii() and fields[key].isdigit() and len(fields[key]) < 16):
            raise CacheError(path, line, f"{key} is not followed by a number")
    if fields["source"] not in SOURCES:
        raise CacheError(path, 5, f"source is none of {', '.join(SOURCES)}")
    ranges: dict[str, Range] = {}
    for _ in range(int(fields["tensors"])):
        line, text = next(numbered, (len(lines), ""))
        if not text or text.startswith(("sha256 ", "corrections ")):
            raise CacheError(path, line, f"truncated: {len(ranges)} of {fields['tensors']} tensors")
        name, found = _range(path, line, text)
        if ranges and name <= next(reversed(ranges)):
            raise CacheError(path, line, "tensors are not sorted, or one stands twice: a bad merge?")
        ranges[name] = found
    try:
        shifts = corrections.parse(numbered)
        measured = measurements.parse(numbered)
        choices = corrections.parse_several("choices", numbered)
    except corrections.FormatError as error:
        raise CacheError(path, error.line or len(lines), error.what) from None
    _checksum(path, lines, numbered)
    digests = ["" if fields[key] == "-" else fields[key] for key in ("model", "data")]
    found = Calibration(ranges, *digests, fields["method"], int(fields["samples"]), fields["source"])
    found.corrections, found.measured, found.choices = shifts, measured, choices
    return found


def _field(path: str | os.PathLike[str], key: str, numbered: Iterator[tuple[int, str]]) -> str:
    line, text = next(numbered, (1, ""))
    word, _, value = text.partition(" ")
    if word != key or not value:
        raise CacheError(path, line, f"truncated or damaged: {key!r} should stand here")
    return value


def _range(path: str | os.PathLike[str], line: int, text: str) -> tuple[str, Range]:
    parts = text.split(" ", 5)
    try:
        name = json.loads(parts[5])
        amax, low, high, error = map(float, parts[:4])
    except (IndexError, ValueError):
        raise CacheError(path, line, "damaged: want AMAX LOW HIGH ERROR METHOD NAME") from None
    if not isinstance(name, str):
        raise CacheError(path, line, "damaged: the name is no text")
    if not all(map(math.isfinite, (amax, low, high))):
        raise CacheError(path, line, f"the range of {name!r} is not finite")
    if amax < 0 or low > high:
        raise CacheError(path, line, f"the range of {name!r} is negative or empty")
    return name, Range(low, high, amax, parts[4], error)


def _checksum(path: str | os.PathLike[str], lines: list[str], numbered: Iterator[tuple[int, str]]) -> None:
    line, text = next(numbered, (len(lines), ""))
    body = "".join(f"{part}\n" for part in lines[: line - 1])
    if not text.startswith("sha256 "):
        raise CacheError(path, line, "truncated or damaged: the SHA-256 of the file should stand here")
    if text != f"sha256 {hashlib.sha256(body.encode()).hexdigest()}":
        raise CacheError(path, line, "damaged: the lines above do not have this SHA-256")
    if any(rest for _, rest in numbered):
        raise CacheError(path, line + 1, "damaged: something stands behind the end")


def merge(calibrations: Mapping[str, Calibration]) -> Calibration:
    """One calibration from several of one model, by file name: the widest range of each tensor.

    With ``minmax`` these are the ranges of the calibration on all of their data. Bias corrections are left out: they
    hold for the ranges they were measured with.
    """
    (first_name, first), *others = calibrations.items()
    result = Calibration(dict(first.ranges), first.digest_model, first.digest_data, first.method, first.samples)
    result.source = first.source
    for name, other in others:
        if other.digest_model != first.digest_model:
            raise BuildError(f"{name}: not for the model of {first_name}")
        for key, found in other.ranges.items():
            mine = result.ranges.get(key)
            result.ranges[key] = found if mine is None else _widest(mine, found)
        result.samples += other.samples
        result.digest_data = _sum(result.digest_data, other.digest_data)
        result.method = result.method if result.method == other.method else "mixed"
        result.source = result.source if result.source == other.source else "data"
    return result


def _widest(one: Range, other: Range) -> Range:
    by = max((one, other), key=lambda r: (r.amax, r.method, r.error))
    return Range(min(one.low, other.low), max(one.high, other.high), by.amax, by.method, max(one.error, other.error))


def _sum(one: str, other: str) -> str:
    if not one or not other:
        return ""
    return f"{add_digests(int(one, 16), int(other, 16)):064x}"
