"""Keeps the error of a build in "fp16" or "bf16" under its bound; see :mod:`ingot.builder.precision.half`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ingot.builder.ir import Graph
from ingot.builder.onnx_model import Model
from ingot.builder.quantization.ranges import Calibrate
from ingot.builder.quantization.request import Request
from ingot.errors import BuildError, IngotError


def watch(graph: Graph, given: Calibrate) -> Calibrate:
    """The same, keeping samples to measure on."""
    from ingot.builder.precision.best import fitting
    from ingot.builder.precision.half import MOST
    from ingot.builder.precision.samples import Judged

    return replace(given, keep=Judged(min(MOST, fitting(graph)), None, given.synthetic))


def hold(
    graph: Graph,
    source: Model,
    request: Request,
    given: Calibrate,
    max_error: float | None,
    outputs: Sequence[str],
    log: Callable[[str], None] | None,
) -> None:
    """Fill ``kept_out`` and ``measured`` of a request without int8, for a finished float graph.

    It is measured on samples, as :func:`watch` kept them or the cache knows, or else on generated inputs. Raises
    BuildError where ``max_error`` cannot be had.
    """
    from ingot.builder.calibrate.data import Item
    from ingot.builder.precision.best import Bounds
    from ingot.builder.precision.generated import generated_samples
    from ingot.builder.precision.half import Search, reference
    from ingot.builder.precision.record import Record, setting_of
    from ingot.builder.precision.samples import Judged
    from ingot.builder.precision.trials import Bench

    Bounds(max_error)  # refuses what is no bound
    given.check(graph)
    known = getattr(request.ranges, "measured", {})
    options = {"precision": request.precision, "layers": list(request.layers.items())}
    record = Record(known, setting_of(graph, {**options, "on": "samples"}))
    judged = given.keep
    if judged is None or not (judged.seen or judged.later or record.knows("basis", [], ["samples", "generated"])):
        samples = generated_samples(graph, source, given.input_ranges)
        judged = Judged(len(samples), None, generated=True)
        for index, sample in enumerate(samples):
            judged.add(index, Item(f"generated sample {index}", sample))
        ranges = sorted(given.input_ranges.items())
        record = Record(known, setting_of(graph, {**options, "on": "generated inputs", "ranges": ranges}))
    bench = Bench(partial(reference, graph), record, outputs, judged, labelled=False)
    try:
        Search(graph, request, max_error, bench, log).run()
    except BuildError:
        raise
    except IngotError as error:
        if not judged.generated or max_error is not None:
            raise
        graph.report.append(("half", f"warning: the error was not measured, generated inputs do not run: {error}"))
    if record.is_new and given.cache is not None and getattr(request.ranges, "source", "tensorrt") != "tensorrt":
        request.ranges.save(given.cache)
