"""Finds the ranges that a build is to use: given, from a cache, or observed on data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ingot.builder.ir import Graph, Value
from ingot.builder.onnx_model import Model
from ingot.builder.quantization.bias import CORRECTED
from ingot.builder.quantization.request import Ranges, Request, Scales
from ingot.builder.quantization.weights import has_weights
from ingot.errors import BuildError
from ingot.kernels.spec import DType

Log = Callable[[str], None] | None


@dataclass(frozen=True, slots=True)
class Calibrate:
    """What :func:`ingot.build` was given to find ranges with."""

    data: Any = None
    method: str = "auto"
    cache: str | os.PathLike[str] | None = None
    preprocess: Callable[[Path], Any] | None = None
    synthetic: bool = False
    #: (low, high) of inputs by name, for whatever generates them
    input_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    equalize: bool = False
    #: shown every sample; where ranges are not made of the samples it gets a way to see them later
    keep: Keeper | None = None

    @property
    def variant(self) -> str:
        """What makes the graph another than the model: its ranges are of no use without. Empty when nothing does."""
        return f"equalized {sorted(self.input_ranges.items())}" if self.equalize else ""

    def check(self, graph: Graph) -> None:
        """BuildError for options that exclude each other, name no input, or a file that could not be written."""
        from ingot.builder.calibrate.synthetic import check_ranges

        check_ranges(self.input_ranges, graph)
        if self.synthetic and self.data is not None:
            raise BuildError("calibration data and calibration_synthetic: give one of them")
        if self.cache is not None and not Path(self.cache).absolute().parent.is_dir():
            raise BuildError(f"{os.fspath(self.cache)}: its folder does not exist")

    @property
    def is_given(self) -> bool:
        return self.data is not None or self.cache is not None or self.synthetic


class Keeper(Protocol):
    """Who wants to see the samples: :class:`ingot.builder.precision.samples.Judged`."""

    later: Callable[[], None] | None

    def add(self, digest: int, item: Any) -> None:
        """One sample."""


def find_ranges(graph: Graph, source: Model, given: Calibrate, log: Callable[[str], None] | None) -> Ranges | None:
    """The ranges, or ``None`` for a model that arrives quantised and brings its own."""
    found = _find(graph, source, given, log)
    if getattr(found, "source", "") == "synthetic":
        graph.report.append(("calibrate", "warning: the ranges are synthetic: no data were seen"))
    for value in graph.inputs:
        seen = getattr(found, "ranges", {}).get(value.name)
        if seen is not None and seen.low == seen.high:
            text = f"warning: input {value.name} was {seen.low:g} everywhere in all samples: that is no range"
            graph.report.append(("calibrate", text))
    return found


def observed_ranges(
    source: Model, shapes: Mapping[str, Any], constants: Mapping[str, Any] | None, given: Calibrate, log: Log
) -> Ranges | None:
    """The ranges of a model that is not for int8: of the same values, so that they share caches."""
    from ingot.builder import calibrate

    graph = calibrate.float_graph(source, [shapes] if shapes else None, constants, log)
    if given.cache is None:
        given = replace(given, method="minmax")  # nobody asks for a scale
    given.check(graph)
    found = find_ranges(graph, source, given, log)
    save_cache(found, given)
    return found


def largest_seen(ranges: Ranges | None) -> Mapping[str, float]:
    """The largest magnitude of each value that the ranges tell."""
    if isinstance(ranges, Scales):
        return ranges.amax
    found = getattr(ranges, "ranges", {})
    return {name: max(-seen.low, seen.high) for name, seen in found.items()}


def correct_biases(
    graph: Graph, source: Model, given: Calibrate, request: Request, log: Callable[[str], None] | None
) -> None:
    """Bias correction: as samples showed, or else by the means of generated inputs."""
    from ingot.builder import calibrate

    found = request.ranges
    if isinstance(found, calibrate.Calibration):
        calibrate.correct_biases(graph, request, log)
    if not request.corrections:
        request.means = find_means(graph, source, given, found, log)


def save_cache(ranges: Ranges | None, given: Calibrate) -> None:
    """Write what calibration found, unless it came from that file."""
    if given.cache is not None and hasattr(ranges, "save") and not Path(given.cache).exists():
        ranges.save(given.cache)


def find_means(
    graph: Graph, source: Model, given: Calibrate, ranges: Ranges, log: Callable[[str], None] | None
) -> dict[str, np.ndarray]:
    """Means of the channels of what the layers read, for bias correction: of generated inputs, at the scale of data."""
    from ingot.builder.calibrate.means import channel_means

    scales = {
        node.inputs[0].name: ranges.scale(node.inputs[0].name)
        for node in graph.nodes
        if node.op.name in CORRECTED and has_weights(node) and _varies(node.inputs[0])
    }
    known = {name: scale for name, scale in scales.items() if scale is not None}
    means = channel_means(graph, source, list(known), given.input_ranges, log)
    return {name: 127 * known[name] * mean for name, mean in means.items()}


def equalize_channels(graph: Graph, source: Model, given: Calibrate, log: Callable[[str], None] | None) -> None:
    """Weight equalisation of the float graph, before its ranges are found."""
    from ingot.builder.calibrate.largest import channel_largest
    from ingot.builder.passes import equalize

    found = equalize.pairs(graph)
    names = [pair.value.name for pair in found]
    equalize.run(graph, found, channel_largest(graph, source, names, given.input_ranges, log))


def _varies(value: Value) -> bool:
    return value.data is None and value.type.dtype is DType.F32


def _find(graph: Graph, source: Model, given: Calibrate, log: Callable[[str], None] | None) -> Ranges | None:
    from ingot.builder import calibrate  # it builds engines, so it imports the builder

    data, cache = given.data, given.cache
    if given.synthetic:
        data = calibrate.Synthetic(given.input_ranges)
    if cache is not None and Path(cache).exists():
        if given.keep is not None and data is not None:
            given.keep.later = lambda: calibrate.show(graph, data, source, given.preprocess, given.keep.add)
        return calibrate.load_cache(cache, graph, source, given.variant)
    if data is None:
        if any(node.op.name == "quantize" for node in graph.nodes):
            return None
        if cache is not None:
            raise BuildError(f"{os.fspath(cache)}: No such file or directory: give calibration data, and it is written")
        raise BuildError(
            "int8 needs ranges: give data (--calibration DATA; Python: calibration=), a cache of them "
            "(--calibration-cache), or a model that is quantised; --calibration-synthetic guesses"
        )
    if isinstance(data, Mapping) and all(isinstance(value, (int, float)) for value in data.values()):
        return Scales(data)
    if isinstance(data, calibrate.Calibration) and (data.digest_model or data.source == "tensorrt"):
        return calibrate.checked("the calibration", data, graph, source, given.variant)
    if hasattr(data, "scale"):
        return data
    return calibrate.calibrate_graph(
        graph,
        data,
        source,
        method=given.method,
        preprocess=given.preprocess,
        variant=given.variant,
        log=log,
        keep=None if given.keep is None else given.keep.add,
    )
