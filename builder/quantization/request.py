"""What was asked for: the precision of each layer, and where the ranges come from."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ingot.builder.ir import Node
from ingot.errors import BuildError

PRECISIONS = ("fp32", "int8")


class Ranges(Protocol):
    """Where scales come from: a :class:`ingot.builder.calibrate.Calibration`, or :class:`Scales`."""

    def scale(self, name: str) -> float | None:
        """The scale of int8 for the value of that name; ``None`` when it has none."""


@dataclass(frozen=True)
class Scales:
    """Ranges from a mapping: value name -> the largest magnitude it is to stand for."""

    amax: Mapping[str, float]

    def scale(self, name: str) -> float | None:
        amax = self.amax.get(name)
        return None if amax is None else amax / 127


@dataclass(slots=True)
class Request:
    """``layers`` maps patterns of layer names to a precision; the last one that matches holds."""

    ranges: Ranges | None = None
    layers: Mapping[str, str] = field(default_factory=dict)
    allow_fallback: bool = False
    #: what the biases of layers gain, by the name of their results, as data showed
    corrections: Mapping[str, np.ndarray] = field(default_factory=dict)
    #: where there are none, means of the channels of the inputs of layers, by value name, for bias correction
    means: Mapping[str, np.ndarray] = field(default_factory=dict)
    #: layer -> why it stays in float32
    refused: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for pattern, precision in self.layers.items():
            if precision not in PRECISIONS:
                raise BuildError(f"layer precision {pattern}={precision}: there is {', '.join(PRECISIONS)}")

    def asked(self, node: Node) -> str:
        """The precision asked for a node: of its own name, or of any ONNX node it does the work of."""
        answer = "int8"
        for pattern, precision in self.layers.items():
            if any(fnmatch.fnmatchcase(name, pattern) for name in (node.name, *node.source)):
                answer = precision
        return answer
