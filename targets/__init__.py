"""Devices that engines are built for: one TOML file each, which may inherit from another."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Target:
    """A module and its power mode. ``backend`` is "cpu" or "cuda"; other figures are what the file says."""

    name: str
    description: str
    backend: str
    arch: str
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def peak_gops(self) -> dict[str, float]:
        """Operations a nanosecond by element type, a multiply-add counts as two; empty where the file does not say.

        Of a CPU those of one core, as the file has them; of a GPU those of all multiprocessors at its clock.
        """
        figures = self.figures
        if self.backend != "cuda":
            return dict(figures.get("peak_gops", {}))
        cycles = figures.get("sm_count", 0) * figures.get("clock_mhz", 0) / 1000
        return {name: ops * cycles for name, ops in figures.get("ops_per_clock", {}).items()}


class UnknownTarget(KeyError):
    """No target is called like that."""

    def __str__(self) -> str:
        return str(self.args[0])


def names() -> list[str]:
    """All targets, sorted."""
    return sorted(f.name[:-5] for f in resources.files(__name__).iterdir() if f.name.endswith(".toml"))


def _read(name: str) -> dict[str, Any]:
    if name not in names():
        raise UnknownTarget(f"no target is called {name!r}; known: {', '.join(names())}")
    table = tomllib.loads((resources.files(__name__) / f"{name}.toml").read_text())
    parent = table.pop("inherits", None)
    return {**_read(parent), **table} if parent else table


def get(name: str) -> Target:
    """The target of that name; :class:`UnknownTarget` lists what there is."""
    table = _read(name)
    known = {key: table.pop(key) for key in ("description", "backend", "arch")}
    return Target(name=name, figures=table, **known)
