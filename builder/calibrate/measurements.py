"""How caches spell what was measured with their ranges: numbers by key, see :mod:`ingot.builder.precision.record`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping

from ingot.builder.calibrate.corrections import FormatError

_HEADING = re.compile(r"measured (\d{1,15})", re.ASCII)


def lines(measured: Mapping[str, float]) -> list[str]:
    """What the cache says of them: a heading, then a line a number, sorted by key."""
    rows = [f"{measured[key]!r} {json.dumps(key, ensure_ascii=False)}" for key in sorted(measured)]
    return [f"measured {len(measured)}", *rows]


def parse(numbered: Iterator[tuple[int, str]]) -> dict[str, float]:
    """The numbers of :func:`lines`, off the front of numbered lines; :class:`FormatError` when they are damaged."""
    first, text = next(numbered, (0, ""))
    heading = _HEADING.fullmatch(text)
    if heading is None:
        raise FormatError(first, "truncated or damaged: measured NUMBER should stand here")
    found: dict[str, float] = {}
    for _ in range(int(heading[1])):
        line, text = next(numbered, (0, ""))
        number, _, quoted = text.partition(" ")
        try:
            value, key = float(number), json.loads(quoted)
        except ValueError:
            raise FormatError(line, "truncated or damaged: want NUMBER KEY of a measurement") from None
        if not isinstance(key, str) or math.isnan(value):
            raise FormatError(line, "damaged: want NUMBER KEY of a measurement")
        if found and key <= next(reversed(found)):
            raise FormatError(line, "measurements are not sorted, or one stands twice: a bad merge?")
        found[key] = value
    return found
