"""Finds the ranges that a build is to use: given, from a cache, or observed on data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ingot.builder.ir import Graph
from ingot.builder.onnx_model import Model
from ingot.builder.quantization.request import Ranges, Scales
from ingot.errors import BuildError


def find_ranges(
    graph: Graph,
    source: Model,
    data: Any,
    method: str,
    cache: str | os.PathLike[str] | None,
    log: Callable[[str], None] | None,
) -> Ranges | None:
    """The ranges, or ``None`` for a model that arrives quantised and brings its own."""
    from ingot.builder import calibrate  # it builds engines, so it imports the builder

    digest = calibrate.model_digest(source)
    if cache is not None and Path(cache).exists():
        return calibrate.Calibration.load(cache, digest)
    if data is None:
        if any(node.op.name == "quantize" for node in graph.nodes):
            return None
        raise BuildError("int8 needs ranges: give calibration data, a calibration cache, or a model that is quantised")
    if isinstance(data, Mapping) and all(isinstance(value, (int, float)) for value in data.values()):
        return Scales(data)
    if hasattr(data, "scale"):
        return data
    found = calibrate.calibrate_graph(graph, data, digest, method=method, log=log)
    if cache is not None:
        found.save(cache)
    return found
