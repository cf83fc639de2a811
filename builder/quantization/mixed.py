"""Measures a quantised build: the errors of its layers, and for "best" which layers stay out of int8."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ingot.builder.ir import Graph
from ingot.builder.onnx_model import Model
from ingot.builder.quantization.ranges import Calibrate, find_means
from ingot.builder.quantization.request import Request
from ingot.errors import BuildError


@dataclass(frozen=True, slots=True)
class Best:
    """What :func:`ingot.build` was given for "best"; ``options`` are those of its others that change numbers."""

    max_error: float | None = None
    max_accuracy_drop: float | None = None
    labels: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)


def watch(graph: Graph, given: Calibrate, best: Best) -> Calibrate:
    """The same, keeping samples to measure on. Raises BuildError for options that do not go together."""
    from ingot.builder.precision import best as search
    from ingot.builder.precision.labels import read_labels

    bounds = search.bounds(best.max_error, best.max_accuracy_drop)
    if best.labels is not None and best.max_accuracy_drop is None:
        raise BuildError("labels are for max_accuracy_drop: say how many points of top-1 accuracy may be lost")
    if best.max_accuracy_drop is not None and given.synthetic:
        raise BuildError(
            "max_accuracy_drop needs labelled samples, and calibration_synthetic generates its own: give data"
        )
    labels = None if best.labels is None else read_labels(best.labels, given.data)
    return replace(given, keep=search.judges(graph, bounds, labels, given.synthetic))


def measure(
    graph: Graph,
    source: Model,
    request: Request,
    given: Calibrate,
    best: Best | None,
    outputs: Sequence[str],
    log: Callable[[str], None] | None,
) -> None:
    """Fill ``sqnr`` and ``measured`` of the request; with ``best`` its ``kept_out`` too.

    Then ``given`` is from :func:`watch`, and the request's corrections become those of the choice.
    """
    from ingot.builder.precision import best as search
    from ingot.builder.precision.corrected import Corrector
    from ingot.builder.precision.engine import float_runner
    from ingot.builder.precision.generated import generated_sqnr
    from ingot.builder.precision.record import Record, setting_of
    from ingot.builder.precision.trials import Bench

    if best is None:
        if request.ranges is not None:
            generated_sqnr(graph, source, request, given.input_ranges, log)
        return
    if request.ranges is None:
        raise BuildError("the model arrives quantised and keeps its own numbers: best has nothing to choose; use int8")
    options = {**best.options, "layers": list(request.layers.items()), "fallback": request.fallback}
    setting = setting_of(graph, {**options, "labels": best.max_accuracy_drop is not None})
    record = Record(getattr(request.ranges, "measured", {}), setting)
    bounds = search.bounds(best.max_error, best.max_accuracy_drop)
    bench = Bench(partial(float_runner, graph), record, outputs, given.keep, best.max_accuracy_drop is not None)
    means = corrector = None
    if best.options["bias_correction"]:
        means = partial(find_means, graph, source, given, request.ranges, log)
        known = getattr(request.ranges, "choices", {})
        corrector = Corrector(graph, given.keep, search.correction_samples(graph), known, log)
    search.choose(search.Search(graph, request, bounds, bench, means, corrector, log))
    if record.is_new and given.cache is not None and getattr(request.ranges, "source", "tensorrt") != "tensorrt":
        request.ranges.save(given.cache)
