"""TensorRT's calibration cache: ``TRT-<version>-EntropyCalibration2``, then a line ``name: 3c010a14`` for each tensor.

The eight hex digits are the big-endian bytes of the float32 scale (largest magnitude / 127).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence

from ingot.errors import BuildError

#: written into the header; TensorRT itself reads its own version's caches only
VERSION = 8601
_HEADER = re.compile(r"TRT-\d+-\w*Calibration\w*")
_SCALE = re.compile(r"[0-9a-fA-F]{8}")


class FormatError(Exception):
    """What is wrong, and in which line."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line, self.what = line, what


def is_header(line: str) -> bool:
    """Whether a file that begins with this line is one of TensorRT's."""
    return line.startswith("TRT-")


def parse(lines: Sequence[str]) -> dict[str, float]:
    """Scales by tensor name; :class:`FormatError` when something is wrong."""
    if not _HEADER.fullmatch(lines[0].strip()):
        raise FormatError(1, "not TRT-<version>-EntropyCalibration2")
    scales: dict[str, float] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        name, separator, digits = line.rpartition(": ")
        digits = digits.strip()
        if not separator or not name or not _SCALE.fullmatch(digits):
            raise FormatError(number, "damaged or truncated: want NAME: and eight hex digits")
        scale = struct.unpack(">f", bytes.fromhex(digits))[0]
        if not math.isfinite(scale) or math.copysign(1, scale) < 0:
            raise FormatError(number, f"the scale of {name!r} is {scale}")
        if name in scales:
            raise FormatError(number, f"{name!r} stands twice")
        scales[name] = scale
    if not scales:
        raise FormatError(2, "truncated: no tensor in it")
    return scales


def dump(scales: Mapping[str, float], version: int = VERSION) -> str:
    """The file's text, sorted by name."""
    bad = [name for name in scales if "\n" in name or "\r" in name]
    if bad:
        raise BuildError(f"tensor {bad[0]!r} has a name that TensorRT's format cannot hold")
    lines = [f"{name}: {struct.pack('>f', scales[name]).hex()}" for name in sorted(scales)]
    return "".join(f"{line}\n" for line in [f"TRT-{version}-EntropyCalibration2", *lines])
