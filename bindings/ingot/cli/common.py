"""What the commands share: usage errors, tables, JSON, progress and common options."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, TextIO

from ingot.errors import ArgumentError

MAX_THREADS = 64


class UsageError(ArgumentError):
    """The command line asks for something that is not there: exit status 2."""


class Progress:
    """One changing line on stderr for work that lasts longer than a second; nothing where stderr is no terminal.

    Call it with what is being done. With ``ticks`` a thread keeps the line alive while one call lasts; measurements go
    without it.
    """

    def __init__(self, text: str = "", stream: TextIO | None = None, delay: float = 1.0, ticks: bool = True) -> None:
        self.stream = stream or sys.stderr
        self.shows = self.stream.isatty()
        self.text = text
        self.written = False
        self._begin = time.monotonic()
        self._due = self._begin + delay
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tick, args=(delay,), daemon=True) if self.shows and ticks else None

    def __call__(self, text: str) -> None:
        self.text = text
        if self.shows and time.monotonic() >= self._due:
            self._draw()

    def _draw(self) -> None:
        with self._lock:
            now = time.monotonic()
            line = shorten(self.text, shutil.get_terminal_size().columns - 10)
            self.stream.write(f"\r\x1b[K{line} ({now - self._begin:.0f} s)")
            self.stream.flush()
            self.written = True
            self._due = now + 0.1

    def _tick(self, delay: float) -> None:
        while not self._done.wait(delay):
            self._draw()

    def __enter__(self) -> Progress:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread:
            self._thread.join()
        if self.written:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def print_json(value: Any) -> None:
    """One JSON object on stdout; NaN and infinities, which JSON lacks, as strings."""
    print(json.dumps(_plain(value), indent=2))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


def table(
    rows: Sequence[Sequence[Any]], header: Sequence[str] = (), right: Sequence[int] = (), indent: str = "  "
) -> str:
    """Rows in columns; those whose index is in ``right`` are aligned to the right."""
    cells = [[str(cell) for cell in row] for row in ([header] if header else []) + list(rows)]
    if not cells:
        return ""
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = []
    for row in cells:
        columns = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths))]
        lines.append((indent + "  ".join(columns)).rstrip())
    return "\n".join(lines)


def shorten(text: str, width: int) -> str:
    """The text, cut in its middle when it is longer than ``width``."""
    return text if len(text) <= width else f"{text[: width - width // 3 - 3]}...{text[-(width // 3) :]}"


def size_text(count: int) -> str:
    """Bytes for people."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.2f} {unit}"
    return f"{count} B"


def time_text(nanoseconds: float) -> str:
    """A duration for people."""
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= factor:
            return (
                f"{nanoseconds / factor:.3g} {unit}"
                if nanoseconds < 1000 * factor
                else f"{nanoseconds / factor:.0f} {unit}"
            )
    return f"{nanoseconds:.0f} ns"


def count(least: int, most: int = 10**9) -> Any:
    """An argparse type: a whole number in a range."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not from {least} to {most}")
        return value

    return parse


def positive(text: str) -> float:
    """An argparse type: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def add_running(parser: argparse.ArgumentParser) -> None:
    """Options of the commands that run an engine."""
    parser.add_argument("--threads", type=count(1, MAX_THREADS), default=1, metavar="N", help="threads, at most 64 (1)")
    parser.add_argument("--isa", help="use this instruction set: portable, avx2, avx512, neon, ... (the best)")
