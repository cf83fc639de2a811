"""What TensorRT's cache has no place for, kept in it as scales of tensors that no model has.

So an engine built from such a file is the one built from our own cache. TensorRT looks up the tensors it knows by name
and does not see the others. Every entry is a finite float32 that is not negative, as scales are:

``ingot.low NAME``, ``ingot.high NAME``   how far below and above zero the tensor was seen to reach
``ingot.graph HEX``                       1: the SHA-256 of the quantised graph that corrections are for
``ingot.bias C NAME``                     what the bias of channel C of layer NAME gains: bfloat16, as the lower
                                          half of the bits of a number from 1 to 1.008
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ingot.builder.calibrate.corrections import Corrections
from ingot.builder.calibrate.trt_cache import FormatError

_PREFIX = "ingot."
_ENTRY = re.compile(r"ingot\.(?:(low|high|graph) |bias (\d{1,9}) )(.+)", re.ASCII | re.DOTALL)
_ONE = 0x3F800000


@dataclass(frozen=True, slots=True)
class Extras:
    """``spans``: (low, high) of tensors by name."""

    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    corrections: Corrections = field(default_factory=Corrections)


def dump(extras: Extras) -> dict[str, float]:
    """The entries by name."""
    found: dict[str, float] = {}
    for name, (low, high) in extras.spans.items():
        found |= {f"{_PREFIX}low {name}": abs(min(low, 0.0)), f"{_PREFIX}high {name}": abs(max(high, 0.0))}
    if extras.corrections.graph:
        found[f"{_PREFIX}graph {extras.corrections.graph}"] = 1.0
    for name, shift in extras.corrections.shifts.items():
        words = (shift.view(np.uint32) >> 16) | _ONE
        found |= {f"{_PREFIX}bias {channel} {name}": _float(int(word)) for channel, word in enumerate(words)}
    return found


def take(scales: dict[str, float]) -> Extras:
    """Take the entries out of what a cache held; :class:`FormatError` when they make no sense."""
    ends: dict[str, dict[str, float]] = {"low": {}, "high": {}, "graph": {}}
    shifts: dict[str, dict[int, float]] = {}
    for key in [key for key in scales if key.startswith(_PREFIX)]:
        entry = _ENTRY.fullmatch(key)
        if entry is None:
            continue  # some model's own name
        kind, channel, name = entry.groups()
        if kind:
            ends[kind][name] = scales.pop(key)
        else:
            shifts.setdefault(name, {})[int(channel)] = scales.pop(key)
    spans = {name: (-low, ends["high"].get(name, 0.0)) for name, low in ends["low"].items()}
    graph = next(iter(ends["graph"]), "")
    return Extras(spans, Corrections(graph, {name: _shift(name, found) for name, found in sorted(shifts.items())}))


def _shift(name: str, found: Mapping[int, float]) -> np.ndarray:
    words = np.array([_bits(found[channel]) for channel in sorted(found)], np.uint32)
    shift = ((words & 0xFFFF) << 16).view(np.float32)
    whole = sorted(found) == list(range(len(found))) and bool((words >> 16 == _ONE >> 16).all())
    if not whole or not np.isfinite(shift).all():
        raise FormatError(2, f"truncated or damaged: the bias corrections of {name!r} are incomplete")
    return shift


def _float(word: int) -> float:
    return struct.unpack(">f", struct.pack(">I", word))[0]


def _bits(value: float) -> int:
    return struct.unpack(">I", struct.pack(">f", value))[0]
