"""What NVRTC's log says: the first error, and the resources that ptxas reports."""

from __future__ import annotations

import re

_RESOURCES = {
    "registers": re.compile(r"Used (\d+) registers"),
    "shared": re.compile(r"(\d+) bytes smem"),
    "stack": re.compile(r"(\d+) bytes stack frame"),
    "spilled": re.compile(r"(\d+) bytes spill stores"),
}


def resources(log: str) -> dict[str, int]:
    """Fields of :class:`ingot.builder.cuda.instance.Compiled` that the log has: of all functions the most."""
    found = {name: pattern.findall(log) for name, pattern in _RESOURCES.items()}
    return {name: max(map(int, numbers)) for name, numbers in found.items() if numbers}


def first_error(log: str) -> str:
    """The first line that is an error; without one the first line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "no message")
