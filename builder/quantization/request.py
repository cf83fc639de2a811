"""What was asked for: the precision of each layer, and where the ranges come from."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ingot.builder.ir import Node
from ingot.errors import BuildError
from ingot.kernels.spec import DType

#: precisions that are a way to store float32
HALVES = {"fp16": DType.F16, "bf16": DType.BF16}
PRECISIONS = ("fp32", *HALVES, "int8")
FALLBACKS = ("fp32", *HALVES)
#: magnitudes beyond this are kept out of float16, the largest of which is 65504: data seen are not all there is
HALF_LIMIT = 65504 / 2


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
    """``layers`` maps patterns of layer names to a precision; the last one that matches holds, else ``precision``.

    "best" is int8 but for the layers of ``kept_out``, by name, with the reason; "fp16" and "bf16" leave those in
    float32.
    """

    ranges: Ranges | None = None
    #: what layers get that stay out of the int8 of "best", or out of "fp16" and "bf16"
    fallback: str = "fp32"
    kept_out: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, str] = field(default_factory=dict)
    allow_fallback: bool = False
    #: what the biases of layers gain, by the name of their results, as data showed
    corrections: Mapping[str, np.ndarray] = field(default_factory=dict)
    #: where there are none, means of the channels of the inputs of layers, by value name, for bias correction
    means: Mapping[str, np.ndarray] = field(default_factory=dict)
    #: the least and the largest scale of weights, by the ONNX nodes that a layer does the work of
    weight_scales: dict[tuple[str, ...], tuple[float, float]] = field(default_factory=dict)
    #: signal-to-quantisation-noise ratios in dB, by the ONNX nodes that a node does the work of
    sqnr: dict[tuple[str, ...], float] = field(default_factory=dict)
    #: what was measured of the whole, for the metadata: on what, errors of the outputs
    measured: dict[str, Any] = field(default_factory=dict)
    #: layer -> why it stays in float32
    refused: dict[str, str] = field(default_factory=dict)
    precision: str = "int8"
    #: of the target: what can be stored in half depends on the kernels
    backend: str = "cpu"
    #: the largest magnitude that data showed, by value name
    largest: Mapping[str, float] = field(default_factory=dict)
    #: patterns of ``layers`` that have matched a layer; shared with all requests that are made of this one
    matched: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for pattern, precision in self.layers.items():
            if precision not in PRECISIONS:
                raise BuildError(f"layer precision {pattern}={precision}: there is {', '.join(PRECISIONS)}")
        if self.fallback not in FALLBACKS:
            raise BuildError(f"fallback precision {self.fallback!r}: there is {', '.join(FALLBACKS)}")
        if self.fallback != "fp32" and self.precision != "best":
            raise BuildError('fallback_precision is for precision "best"')

    @property
    def precisions(self) -> set[str]:
        """All that is asked for."""
        return {self.precision, *self.layers.values(), *([self.fallback] if self.precision == "best" else [])}

    @property
    def unmatched(self) -> list[str]:
        """Patterns of ``layers`` that no layer has been found for: once all layers were asked for, typing errors."""
        return [pattern for pattern in self.layers if pattern not in self.matched]

    def fits_half(self, name: str) -> bool:
        """Whether float16 can hold what data showed of a value."""
        return self.largest.get(name, 0.0) <= HALF_LIMIT

    def named(self, node: Node) -> str | None:
        """What ``layers`` asks for a node, by its own name or that of an ONNX node it does the work of."""
        answer = None
        for pattern, precision in self.layers.items():
            if any(fnmatch.fnmatchcase(name, pattern) for name in (node.name, *node.source)):
                self.matched.add(pattern)
                answer = precision
        return answer

    def asked(self, node: Node) -> str:
        """The precision asked for a node."""
        return self.named(node) or self.precision

    def in_float(self, node: Node) -> str:
        """What is wanted of a node that does not compute in int8."""
        asked = self.asked(node)
        return self.fallback if asked == "best" or node.name in self.kept_out else asked
