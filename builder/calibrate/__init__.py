"""Calibration: which range each tensor of a model needs, from samples, a cache, or generated inputs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from ingot.arrays import TensorInfo
from ingot.builder import onnx_model, pipeline
from ingot.builder.calibrate import data as calibration_data
from ingot.builder.calibrate import empirical, synthetic, twins
from ingot.builder.calibrate.aliases import aliases
from ingot.builder.calibrate.cache import Calibration, Range
from ingot.builder.calibrate.data import DataError, Item
from ingot.builder.calibrate.histogram import Histogram
from ingot.builder.calibrate.methods import LEVELS, NAMES, UNSIGNED_LEVELS, choose
from ingot.builder.calibrate.observe import Observation, observable, observe
from ingot.builder.calibrate.synthetic import Synthetic
from ingot.builder.errors import CacheError
from ingot.builder.ir import Graph
from ingot.builder.onnx_import import import_model
from ingot.builder.passes import quantize
from ingot.builder.quantization.request import Request
from ingot.builder.quantization.signs import nonnegative
from ingot.errors import BuildError

__all__ = [
    "NAMES",
    "CacheError",
    "Calibration",
    "DataError",
    "Item",
    "Observation",
    "Range",
    "Synthetic",
    "calibrate",
    "calibrate_graph",
    "correct_biases",
    "graph_samples",
    "load_cache",
    "model_digest",
    "observable",
    "observe",
    "show",
]

Log = Callable[[str], None]
#: of the tensors of a model, in a cache of TensorRT's: it fuses layers and then leaves out what is between
LEAST_KNOWN = 0.25
_EQUALIZED = "equalize changes the ranges of the model: give data, or build without it"
Keep = Callable[[int, Item], None]


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

    ``data`` may be a :class:`Synthetic`: then inputs are generated. ``preprocess`` makes an array of an image's path.
    Raises :class:`DataError` for data that do not fit, BuildError for a model that cannot be built.
    """
    source = onnx_model.read(model)
    graph = float_graph(source, profiles, constants, log)
    found = calibrate_graph(graph, data, source, method=method, preprocess=preprocess, log=log)
    correct_biases(graph, Request(ranges=found), log)
    return found


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
    pipeline.run_passes(graph, pipeline.TO_QUANTIZE, log=log)
    return graph


def model_digest(source: onnx_model.Model, variant: str = "") -> str:
    """SHA-256 of the model, in hex: what a cache names. ``variant`` tells apart graphs that are made of one model."""
    digest = hashlib.sha256(source.proto.SerializeToString(deterministic=True)).hexdigest()
    return hashlib.sha256(f"{digest} {variant}".encode()).hexdigest() if variant else digest


def calibrate_graph(
    graph: Graph,
    data: Any,
    source: onnx_model.Model,
    *,
    method: str = "auto",
    preprocess: calibration_data.Preprocess | None = None,
    variant: str = "",
    log: Log | None = None,
    keep: Keep | None = None,
) -> Calibration:
    """The same for the graph of a model, which stays as it is; ``variant`` as for :func:`model_digest`.

    ``keep`` is shown every sample and its digest.
    """
    if method not in NAMES:
        raise BuildError(f"calibration method {method!r} is unknown; there is {', '.join(NAMES)}")
    if isinstance(data, Synthetic):
        return _calibrate_synthetic(graph, data, source, method, variant, log, keep)
    items = graph_samples(graph, data, preprocess)
    kept = calibration_data.Kept(empirical.sample_count(graph))
    keepers = [kept.add] if keep is None else [kept.add, keep]
    digest, count, (histograms,) = _run([observe(graph, observable(graph))], items, log, keepers)
    ranges, skipped = choose_ranges(histograms, method, graph, log)
    found = Calibration(ranges, model_digest(source, variant), f"{digest:064x}", method, count, skipped=skipped)
    found.aliases, found.kept = aliases(graph), [item.arrays for item in kept.items]
    return found


def correct_biases(graph: Graph, request: Request, log: Log | None = None) -> None:
    """Bias correction on the samples that calibration kept, for the int8 layers of ``request``.

    Both the request and its calibration get the corrections; none where the calibration has none that fit and no
    samples either.
    """
    found = request.ranges
    rounded = graph.copy()
    quantize.run(rounded, replace(request, refused={}, corrections={}, means={}))
    if found.kept and found.corrections.graph != empirical.graph_digest(rounded):
        found.corrections = empirical.measure(graph, rounded, found.kept, log)
    elif found.corrections.graph not in ("", empirical.graph_digest(rounded)):
        graph.report.append(
            ("calibrate", "the cache's bias corrections are for another choice of int8 layers: not used")
        )
        return
    request.corrections = found.corrections.shifts


def graph_samples(graph: Graph, data: Any, preprocess: calibration_data.Preprocess | None = None) -> Iterator[Item]:
    """The samples of the data for a graph's inputs."""
    inputs = [TensorInfo(v.name, v.type.dtype.numpy, v.type.shape, v.type.shape) for v in graph.inputs]
    return calibration_data.samples(data, inputs, preprocess)


def show(
    graph: Graph, data: Any, source: onnx_model.Model, preprocess: calibration_data.Preprocess | None, keep: Keep
) -> None:
    """Give ``keep`` the samples that :func:`calibrate_graph` would run on."""
    if isinstance(data, Synthetic):
        items: Iterable[Item] = _generated(graph, data, source)
    else:
        items = graph_samples(graph, data, preprocess)
    for item in items:
        keep(calibration_data.digest(item.arrays), item)


def _generated(graph: Graph, data: Synthetic, source: onnx_model.Model) -> Iterator[Item]:
    samples = synthetic.generate(graph, data, twins.normalisers(source.proto))
    return (Item(f"generated sample {index}", sample) for index, sample in enumerate(samples))


def load_cache(path: str | os.PathLike[str], graph: Graph, source: onnx_model.Model, variant: str = "") -> Calibration:
    """Read a cache for a graph, as :func:`checked` wants it; :class:`CacheError` as ever."""
    return checked(path, Calibration.load(path), graph, source, variant)


def checked(
    place: str | os.PathLike[str], found: Calibration, graph: Graph, source: onnx_model.Model, variant: str = ""
) -> Calibration:
    """The calibration, if it is one of this graph; one of TensorRT's names tensors as the model does."""
    wanted = model_digest(source, variant)
    if found.source == "tensorrt":
        if variant:
            raise CacheError(place, 1, f"{_EQUALIZED}, and ranges of TensorRT's are of the model as it is")
        names = aliases(graph)
        # Names that begin with % are made up: they mean other tensors in other models.
        named = {name for own in observable(graph) if not (name := names.get(own, own)).startswith("%")}
        known = len(named & set(found.ranges))
        if known < LEAST_KNOWN * len(named):
            raise CacheError(place, 2, f"for another model: it has {known} of the {len(named)} tensors of this one")
        found.translate(names)
    elif found.digest_model != wanted:
        if found.digest_model == model_digest(source):
            raise CacheError(place, 2, f"{_EQUALIZED}, and these ranges are of the model as it is")
        digests = f"{found.digest_model[:12] or 'unknown'}..., not {wanted[:12]}..."
        what = "another model, or built with other options (equalize)" if variant else "another model"
        raise CacheError(place, 2, f"for {what} ({digests}): calibrate again")
    return found


def _calibrate_synthetic(
    graph: Graph,
    data: Synthetic,
    source: onnx_model.Model,
    method: str,
    variant: str,
    log: Log | None,
    keep: Keep | None,
) -> Calibration:
    """Observe the model and its twin on generated samples, with kernels that compute the same bits on any machine."""
    synthetic.check_ranges(data.ranges, graph)
    twin = _twin_graph(source, graph)
    graphs = [graph] if twin is None else [graph, twin]
    observations = [observe(g, observable(g), isa="portable") for g in graphs]
    _, count, (plain, *others) = _run(observations, _generated(graph, data, source), log, [keep] if keep else [])
    histograms = synthetic.prefer(others[0], plain) if others else plain
    chosen, skipped = choose_ranges(histograms, method, graph, log)
    ranges = {name: replace(found, amax=synthetic.widen(found.amax)) for name, found in chosen.items()}
    names = aliases(graph)
    return Calibration(ranges, model_digest(source, variant), "", method, count, "synthetic", skipped, names)


def _twin_graph(source: onnx_model.Model, graph: Graph) -> Graph | None:
    """The twin of a model, as the quantise pass would see it; ``None`` when it has no BatchNormalization."""
    profile = {value.name: value.type.shape for value in graph.inputs}
    try:
        raw = import_model(source, profile)
    except BuildError:  # inputs were taken as constants, and the model cannot do without
        return None
    shapes = {value.name: value.type.shape for node in raw.nodes for value in node.outputs}
    proto = twins.normalising_twin(source.proto, shapes)
    if proto is None:
        return None
    twin = import_model(replace(source, proto=proto), profile)
    pipeline.run_passes(twin, pipeline.TO_QUANTIZE)
    return twin


def _run(
    observations: Sequence[Observation], samples: Iterable[Item], log: Log | None, keepers: Sequence[Keep]
) -> tuple[int, int, list[dict[str, Histogram]]]:
    """(digest of the samples, how many there were, histograms by name for each observation)."""
    histograms = [{name: Histogram() for name in observation.names} for observation in observations]
    digest, count = 0, 0
    for item in samples:
        if log:
            log(f"calibrating: {item.place}")
        for observation, found in zip(observations, histograms):
            for name, array in observation.run(item.arrays).items():
                found[name].add(array)
        own = calibration_data.digest(item.arrays)
        digest, count = calibration_data.add_digests(digest, own), count + 1
        for keep in keepers:
            keep(own, item)
    return digest, count, histograms


def choose_ranges(
    histograms: Mapping[str, Histogram], method: str, graph: Graph, log: Log | None = None
) -> tuple[dict[str, Range], dict[str, str]]:
    """The range of every tensor, and the tensors that can have none with the reason."""
    positive = {value.name for value in nonnegative(graph)}
    ranges, skipped = {}, {}
    for index, (name, histogram) in enumerate(histograms.items()):
        if log:
            log(f"choosing ranges: {index} of {len(histograms)}")
        if histogram.nans or not histogram.total:
            skipped[name] = "holds NaN" if histogram.nans else "holds no finite number"
            continue
        choice = choose(histogram, method, UNSIGNED_LEVELS if name in positive else LEVELS)
        error = float(f"{choice.error:.3g}")
        ranges[name] = Range(histogram.low, histogram.high, choice.amax, choice.method, error)
    return ranges, skipped
