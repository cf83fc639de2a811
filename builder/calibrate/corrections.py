"""What calibration found biases to need, and how caches spell it.

A correction has the precision of bfloat16, which is plenty for what is itself small: four hex digits a channel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

_HEADING = re.compile(r"corrections (\d{1,15}) (-|[0-9a-f]{64})", re.ASCII)
_HEX = re.compile(r"([0-9a-f]{4})+")


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """``shifts``: what the bias of a layer gains, by the name of its result: float32 [channels], bfloat16 precision.

    They hold for one quantised graph; ``graph`` is the SHA-256 of its text in hex, empty where nothing was measured.
    """

    graph: str = ""
    shifts: Mapping[str, np.ndarray] = field(default_factory=dict)


def bfloat16(x: np.ndarray) -> np.ndarray:
    """float32 rounded to the bits of bfloat16, halves to even; finite numbers."""
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


class FormatError(Exception):
    """What is wrong, and in which line (0: at the end)."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line, self.what = line, what


def lines(corrections: Corrections) -> list[str]:
    """What the cache says of them: a heading, then a line a layer, sorted by name."""
    shifts = corrections.shifts
    rows = [f"{_to_hex(shifts[name])} {json.dumps(name, ensure_ascii=False)}" for name in sorted(shifts)]
    return [f"corrections {len(shifts)} {corrections.graph or '-'}", *rows]


def parse(numbered: Iterator[tuple[int, str]]) -> Corrections:
    """The corrections of :func:`lines`, off the front of numbered lines; :class:`FormatError` when they are damaged."""
    first, text = next(numbered, (0, ""))
    heading = _HEADING.fullmatch(text)
    if heading is None:
        raise FormatError(first, "truncated or damaged: corrections NUMBER SHA-256 should stand here")
    shifts: dict[str, np.ndarray] = {}
    for _ in range(int(heading[1])):
        line, text = next(numbered, (0, ""))
        name, shift = _row(text)
        if name is None or shift is None:
            raise FormatError(line, "truncated or damaged: want HEX NAME of a bias correction")
        if shifts and name <= next(reversed(shifts)):
            raise FormatError(line, "corrections are not sorted, or one stands twice: a bad merge?")
        shifts[name] = shift
    return Corrections("" if heading[2] == "-" else heading[2], shifts)


def parse_several(word: str, numbered: Iterator[tuple[int, str]]) -> dict[str, Corrections]:
    """Corrections by the graph they are for: a heading with this word and their number, then each as above."""
    line, text = next(numbered, (0, ""))
    heading = re.fullmatch(rf"{word} (\d{{1,15}})", text, re.ASCII)
    if heading is None:
        raise FormatError(line, f"truncated or damaged: {word} NUMBER should stand here")
    found = (parse(numbered) for _ in range(int(heading[1])))
    return {corrections.graph: corrections for corrections in found}


def _row(text: str) -> tuple[str | None, np.ndarray | None]:
    digits, _, quoted = text.partition(" ")
    try:
        name = json.loads(quoted)
    except ValueError:
        return None, None
    return (name if isinstance(name, str) else None), _from_hex(digits)


def _to_hex(shift: np.ndarray) -> str:
    return (shift.view(np.uint32) >> 16).astype(">u2").tobytes().hex()


def _from_hex(text: str) -> np.ndarray | None:
    if not _HEX.fullmatch(text):
        return None
    shift = (np.frombuffer(bytes.fromhex(text), ">u2").astype(np.uint32) << 16).view(np.float32)
    return shift if np.isfinite(shift).all() else None
