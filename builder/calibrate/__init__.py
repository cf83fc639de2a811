"""Calibration: which range each tensor of a model needs, from samples, a cache, or generated inputs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from ingot.arrays import TensorInfo
from ingot.builder import onnx_model, pipeline
from ingot.builder.calibrate import data as calibration_data
from ingot.builder.calibrate.cache import CacheError, Calibration, Range
from ingot.builder.calibrate.data import DataError
from ingot.builder.calibrate.histogram import Histogram
from ingot.builder.calibrate.methods import NAMES, choose
from ingot.builder.calibrate.observe import Observation, copy_graph, observable, observe
from ingot.builder.ir import Graph
from ingot.builder.onnx_import import import_model
from ingot.errors import BuildError

__all__ = [
    "NAMES",
    "CacheError",
    "Calibration",
    "DataError",
    "Observation",
    "Range",
    "calibrate",
    "calibrate_graph",
    "copy_graph",
    "model_digest",
    "observable",
    "observe",
]

Log = Callable[[str], None]


def calibrate(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    data: Any,
    *,
    profiles: Sequence[Mapping[str, Sequence[int]]] | None = None,
    constants: Mapping[str, np.ndarray] | None = None,
    method: str = "auto",
    preprocess: calibration_data.Preprocess | None = None,
    log: Log | None = None,
) -> Calibration:
    """Run the model on the data and choose the range of every floating tensor; see :mod:`.data` and :mod:`.methods`.

    Raises :class:`DataError` for data that do not fit, BuildError for a model that cannot be built.
    """
    source = onnx_model.read(model)
    graph = float_graph(source, profiles, constants, log)
    return calibrate_graph(graph, data, model_digest(source), method=method, preprocess=preprocess, log=log)


def float_graph(
    source: onnx_model.Model,
    profiles: Sequence[Mapping[str, Sequence[int]]] | None = None,
    constants: Mapping[str, np.ndarray] | None = None,
    log: Log | None = None,
) -> Graph:
    """The model as it is when the quantise pass sees it."""
    if profiles is not None and len(profiles) != 1:
        raise BuildError(f"{len(profiles)} profiles were given; one with fixed shapes is supported")
    graph = import_model(source, dict(profiles[0]) if profiles else {}, constants)
    pipeline.run_passes(graph, _passes(), log=log)
    return graph


def _passes() -> tuple[str, ...]:
    return pipeline.TO_QUANTIZE


def model_digest(source: onnx_model.Model) -> str:
    """SHA-256 of the model, in hex: what a cache names."""
    return hashlib.sha256(source.proto.SerializeToString(deterministic=True)).hexdigest()


def calibrate_graph(
    graph: Graph,
    data: Any,
    digest_model: str,
    *,
    method: str = "auto",
    preprocess: calibration_data.Preprocess | None = None,
    log: Log | None = None,
) -> Calibration:
    """The same for a graph, which stays as it is."""
    if method not in NAMES:
        raise BuildError(f"calibration method {method!r} is unknown; there is {', '.join(NAMES)}")
    inputs = [TensorInfo(v.name, v.type.dtype.numpy, v.type.shape, v.type.shape) for v in graph.inputs]
    observation = observe(graph, observable(graph))
    histograms = {name: Histogram() for name in observation.names}
    total, count = 0, 0
    for place, sample in calibration_data.samples(data, inputs, preprocess):
        if log:
            log(f"calibrating: {place}")
        for name, array in observation.run(sample).items():
            histograms[name].add(array)
        total, count = calibration_data.add_digests(total, calibration_data.digest(sample)), count + 1
    ranges, skipped = choose_ranges(histograms, method, log)
    return Calibration(ranges, digest_model, f"{total:064x}", method, count, skipped=skipped)


def choose_ranges(
    histograms: Mapping[str, Histogram], method: str, log: Log | None = None
) -> tuple[dict[str, Range], dict[str, str]]:
    """The range of every tensor, and the tensors that can have none with the reason."""
    ranges, skipped = {}, {}
    for index, (name, histogram) in enumerate(histograms.items()):
        if log:
            log(f"choosing ranges: {index} of {len(histograms)}")
        if histogram.nans or not histogram.total:
            skipped[name] = "holds NaN" if histogram.nans else "holds no finite number"
            continue
        choice = choose(histogram, method)
        error = float(f"{choice.error:.3g}")
        ranges[name] = Range(histogram.low, histogram.high, choice.amax, choice.method, error)
    return ranges, skipped
