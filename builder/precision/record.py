"""What has been measured, by key: in the calibration cache, so that a build from it measures nothing again.

A key is the digest of all that a measurement depends on beside the ranges and the samples: the graph, the options that
change numbers, what was asked for layers, and the layers that were kept out of int8. So a build with the same model,
options and cache takes the same decisions on any machine, and needs no data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ingot.builder.ir import Graph


@dataclass(slots=True)
class Record:
    """``known`` grows with every new measurement. ``setting`` is what all measurements of a build have in common."""

    known: dict[str, float]
    setting: str
    is_new: bool = False

    def get(
        self, kind: str, layers: Iterable[str], fields: Iterable[str], measure: Callable[[], Mapping[str, float]]
    ) -> dict[str, float]:
        """The numbers of one measurement by field: known ones, or what ``measure`` finds, which has these fields."""
        keys = self._keys(kind, layers, fields)
        if not all(key in self.known for key in keys.values()):
            found = measure()
            self.known.update((key, found[name]) for name, key in keys.items())
            self.is_new = True
        return {name: self.known[key] for name, key in keys.items()}

    def knows(self, kind: str, layers: Iterable[str], fields: Iterable[str]) -> bool:
        """Whether :meth:`get` would measure nothing."""
        return all(key in self.known for key in self._keys(kind, layers, fields).values())

    def _keys(self, kind: str, layers: Iterable[str], fields: Iterable[str]) -> dict[str, str]:
        text = json.dumps([self.setting, kind, sorted(layers)])
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return {name: f"{digest} {kind} {name}" for name in fields}


def setting_of(graph: Graph, options: Mapping[str, Any]) -> str:
    """The digest of a graph's structure and of options; attributes are text in it, constants are not looked at."""
    text = f"{graph}\n{json.dumps(options, sort_keys=True, default=repr)}"
    return hashlib.sha256(text.encode()).hexdigest()
