"""The builder: a trained ONNX model becomes the bytes of an engine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ingot import __version__
from ingot._kernel import kernels
from ingot.builder import onnx_model, select
from ingot.builder.cuda import predict
from ingot.builder.cuda.edges import edges_of
from ingot.builder.cuda.instance import Compiler
from ingot.builder.cuda.levels import side_by_side
from ingot.builder.cuda.link import link, variant_of
from ingot.builder.ir import Graph
from ingot.builder.onnx_import import import_model
from ingot.builder.passes import half, quantize
from ingot.builder.pipeline import BACKEND_PASSES, FROM_QUANTIZE, PASSES, PLACEMENT_PASSES, TO_QUANTIZE, run_passes
from ingot.builder.plan import Program, copies_where_needed, make_program
from ingot.builder.quantization import half_bound, ledger
from ingot.builder.quantization.mixed import Best, measure, watch
from ingot.builder.quantization.ranges import (
    Calibrate,
    correct_biases,
    equalize_channels,
    find_ranges,
    largest_seen,
    observed_ranges,
    save_cache,
)
from ingot.builder.quantization.request import HALVES, PRECISIONS, Request
from ingot.builder.selftest import make_self_test
from ingot.builder.tuning import tuner
from ingot.builder.tuning.local import Local, require_device
from ingot.builder.tuning.report import Report
from ingot.builder.tuning.roofline import Roofline
from ingot.builder.twin import for_cpu
from ingot.builder.verify import verify
from ingot.builder.writer import Variant, write_engine
from ingot.errors import BuildError
from ingot.targets import Target, UnknownTarget
from ingot.targets import get as get_target

Shape = Sequence[int]


def build(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    target: str = "cpu",
    precision: str = "fp32",
    profiles: Sequence[Mapping[str, Shape]] | None = None,
    constants: Mapping[str, np.ndarray] | None = None,
    calibration: Any = None,
    calibration_method: str = "auto",
    calibration_cache: str | os.PathLike[str] | None = None,
    calibration_preprocess: Callable[[Path], np.ndarray] | None = None,
    calibration_synthetic: bool = False,
    input_ranges: Mapping[str, tuple[float, float]] | None = None,
    equalize: bool = False,
    bias_correction: bool = True,
    max_error: float | None = None,
    max_accuracy_drop: float | None = None,
    labels: Any = None,
    layer_precision: Mapping[str, str] | None = None,
    fallback_precision: str = "fp32",
    allow_fallback: bool = False,
    tune: bool = False,
    effort: int = 1,
    timing_cache: str | os.PathLike[str] | None = None,
    timing_cache_only: bool = False,
    fast_math: bool = True,
    threads: int = 1,
    dump_after: str | None = None,
    self_test: bool = True,
    log: Callable[[str], None] | None = None,
    tuned: Callable[[Report], None] | None = None,
    measurer: tuner.Measurer | None = None,
    compiler: Compiler | None = None,
) -> bytes:
    """Build an engine and return its bytes.

    ``model`` is a file, its bytes or a ModelProto. ``profiles`` holds one mapping from input name to shape, needed for
    inputs whose shape the model leaves open. ``constants`` takes inputs of the model as constants.

    ``precision`` "int8" needs ranges: ``calibration`` is data (see ``ingot.builder.calibrate``), a Calibration, or a
    mapping from value name to largest magnitude; ``calibration_cache`` is a file that is read when it is there and
    else written; ``calibration_preprocess`` makes an array of an image file; with ``calibration_synthetic`` data are
    generated. A model that arrives quantised needs none. "fp16" and "bf16" store weights and tensors in half the bytes;
    the same data tell which layers float16 cannot hold, and the fewest layers stay in float32 without which an output
    errs by more than ``max_error`` on them, or on generated inputs (by default by a share of 5e-3 or 5e-2, see
    ``ingot.builder.precision.half``). ``equalize`` brings the channels of tensors between convolutions to like ranges,
    as generated inputs show them; ``bias_correction`` takes the mean error of rounded weights, estimated on generated
    inputs, out of the biases. ``input_ranges`` gives (low, high) of inputs by name, for all that generates them.
    ``layer_precision`` maps patterns of layer names to a precision; a layer that cannot
    have int8 is an error unless ``allow_fallback``.

    ``precision`` "best" is "int8" but for the fewest layers without which every output stays within ``max_error`` of
    the float model on the samples (norm of the difference over norm of the output; 0.02 when nothing is said), and
    within ``max_accuracy_drop`` points of its top-1 accuracy. What stays out of int8 gets ``fallback_precision``:
    "fp32", "fp16" or "bf16". A bound on accuracy needs ``labels``: whole numbers, one for each sample
    or for each row of the classifier's output, as an array or a file (see ``ingot.builder.precision.labels``), or an
    array ``labels`` beside the inputs in the data. What was measured is kept in the calibration cache.

    Tactics are those of which ``timing_cache`` knows that they are fast with ``threads`` threads, else those that the
    target's figures clearly speak for, else the defaults. ``tune`` measures on this machine what the cache does not
    know and writes it there: with ``effort`` 0 nothing, 1 what the figures say may be best, 2 everything, 3 near ties
    again. With ``timing_cache_only`` it is an error that something is not in the cache. ``fast_math`` False leaves out
    tactics that trade accuracy for speed. ``tuned`` gets the report. ``measurer`` measures instead of this machine.
    ``compiler`` makes the machine code of CUDA kernels instead of NVRTC.

    The same model, options and caches give the same bytes on any machine. Raises :class:`ingot.BuildError` when the
    model cannot be built.
    """
    if precision not in (*PRECISIONS, "best"):
        raise BuildError(f"precision {precision!r} is not supported; use {', '.join(PRECISIONS)} or best")
    only_best = {"max_accuracy_drop": max_accuracy_drop, "labels": labels}
    unused = [name for name, value in only_best.items() if value is not None and precision != "best"]
    if unused:
        raise BuildError(f'{unused[0]} is for precision "best"')
    if max_error is not None and precision not in ("best", *HALVES):
        raise BuildError('max_error is for precision "best", "fp16" or "bf16"')
    device = _target(target)
    tuning = tuner.Request(tune, effort, timing_cache, timing_cache_only, fast_math, threads)
    tuning.check()
    shapes = _fixed_shapes(profiles)
    source = onnx_model.read(model)
    graph = import_model(source, shapes, constants)
    output_names = [info.name for info in source.proto.graph.output]
    request = Request(
        layers=layer_precision or {},
        allow_fallback=allow_fallback,
        precision=precision,
        fallback=fallback_precision,
        backend=device.backend,
    )
    halves = not request.precisions.isdisjoint(HALVES)
    if max_error is not None and precision in HALVES and "int8" in request.precisions:
        raise BuildError(
            f"max_error bounds what {precision} costs, and layers are asked for int8: use best, or leave one out"
        )
    calibrate = Calibrate(
        calibration,
        calibration_method,
        calibration_cache,
        calibration_preprocess,
        calibration_synthetic,
        input_ranges or {},
        equalize,
    )
    if request.precisions.isdisjoint({"int8", "best"}):
        if halves and calibrate.is_given:
            calibrate = half_bound.watch(graph, calibrate)
            request.ranges = observed_ranges(source, shapes, constants, calibrate, log)
            request.largest = largest_seen(request.ranges)
        graph.target = device
        run_passes(graph, PASSES, dump_after=dump_after, log=log)
        if precision in HALVES:
            half_bound.hold(graph, source, request, calibrate, max_error, output_names, log)
    else:
        run_passes(graph, TO_QUANTIZE, dump_after=dump_after, log=log)
        calibrate.check(graph)
        if equalize:
            equalize_channels(graph, source, calibrate, log)
            verify(graph)
        best = None
        if precision == "best":
            options = {"equalize": equalize, "bias_correction": bias_correction}
            best = Best(max_error, max_accuracy_drop, labels, options)
            calibrate = watch(graph, calibrate, best)
        request.ranges = find_ranges(graph, source, calibrate, log)
        if request.ranges is not None and bias_correction:
            correct_biases(graph, source, calibrate, request, log)
        save_cache(request.ranges, calibrate)
        request.largest = largest_seen(request.ranges)
        measure(graph, source, request, calibrate, best, output_names, log)
        graph.target = device  # not before: what is rounded is the same for all
        quantize_graph(graph, request, dump_after=dump_after, log=log)
    if halves:
        store_half(graph, request, dump_after=dump_after)
    request = None if request.precisions == {"fp32"} else request
    if request is not None:
        graph.report += [("precision", f"warning: no layer is called {pattern}") for pattern in request.unmatched]
    twin = graph.copy() if self_test and device.backend != "cpu" else None
    if tune and effort and device.backend == "cuda" and measurer is None:
        require_device(device)
    run_passes(graph, BACKEND_PASSES, dump_after=dump_after, log=log)
    report = tune_graph(graph, device, tuning, output_names, measurer or Local(compiler), log, compiler)
    program = lower(graph, graph.name, output_names, dump_after=dump_after, log=log)
    metadata = _metadata(source, device, shapes, graph, program, request, output_names)
    if report is not None:
        metadata["tactics"] = report.metadata()
        if tuned:
            tuned(report)
    if device.backend == "cuda":
        metadata["cuda"] = link([program], device, compiler, log)
        metadata["predicted"] = predict.describe(program, device)
    abi = {k.name: (k.abi, k.params_size) for k in kernels().values()}
    variant = _variant(device, program)
    engine = write_engine([variant], metadata, abi)
    if self_test:
        portable, elsewhere = engine, set()
        if twin is not None:
            program = lower(for_cpu(twin), graph.name, output_names)
            portable = write_engine([Variant("cpu", [program])], {}, abi)
            elsewhere = ledger.inexact_outputs(graph)
        tests = make_self_test(portable, program, log, elsewhere)
        if tests:
            engine = write_engine([variant], metadata, abi, tests)
    return engine


def store_half(graph: Graph, request: Request, *, dump_after: str | None = None) -> None:
    """Store in float16 and bfloat16 what was asked to be, in place."""
    if "fp16" in request.precisions and not request.largest:
        text = "warning: no calibration data: only weights were checked against the range of fp16, not what is computed"
        graph.report.append(("half", text))
    half.run(graph, request)
    verify(graph)
    if dump_after == "half":
        print(f"# after half\n{graph}")


def quantize_graph(
    graph: Graph,
    request: Request,
    *,
    dump_after: str | None = None,
    log: Callable[[str], None] | None = None,
) -> None:
    """From the graph as calibration saw it to the integer graph, in place."""
    if request.ranges is not None:
        quantize.run(graph, request)
        verify(graph)
        if dump_after == "quantize":
            print(f"# after quantize\n{graph}")
    ledger.note_weights(graph, request)
    run_passes(graph, FROM_QUANTIZE, dump_after=dump_after, log=log)
    ledger.check(graph, request)


def tune_graph(
    graph: Graph,
    device: Target,
    request: tuner.Request,
    output_names: list[str],
    measurer: tuner.Measurer,
    log: Callable[[str], None] | None,
    compiler: Compiler | None = None,
) -> Report | None:
    """Choose the tactics of the graph by measured or modelled times, in place; None where nothing speaks of them."""
    if not (request.tune or request.cache) and Roofline.of(device).assumed:
        return None

    def compile(graph: Graph) -> bytes:
        program = lower(graph, graph.name, output_names)
        if device.backend == "cuda":
            link([program], device, compiler, log)
        return write_engine([_variant(device, program)], {}, abi)

    abi = {k.name: (k.abi, k.params_size) for k in kernels().values()}
    report = tuner.Tuner(device, request, measurer, log).run(graph, compile)
    verify(graph)
    return report


def lower(
    graph: Graph,
    name: str,
    output_names: list[str],
    *,
    dump_after: str | None = None,
    log: Callable[[str], None] | None = None,
) -> Program:
    """Choose tactics, pack constants, insert the copies that cannot be avoided, place every tensor."""
    select.run(graph)
    run_passes(graph, PLACEMENT_PASSES, dump_after=dump_after, log=log)
    select.run(graph)  # of the copies that the passes put in
    works = predict.works(graph)  # before shapes are those of packed constants
    select.pack(graph)
    copies_where_needed(graph)
    program = make_program(graph, name, output_names)
    if graph.backend == "cuda":
        program = side_by_side(graph, program, output_names)
        program.edges = edges_of(program)
        works |= predict.works(graph, known=works)
        program.work_ns = [works[node] for node in graph.nodes if node.tactic.kernel]
    return program


def _fixed_shapes(profiles: Sequence[Mapping[str, Shape]] | None) -> dict[str, Shape]:
    """The one profile that there may be; :class:`BuildError` unless it gives inputs by name one shape each."""
    if profiles is None:
        return {}
    if isinstance(profiles, Mapping) or not all(isinstance(profile, Mapping) for profile in profiles):
        raise BuildError("profiles is a list of mappings from input to shape: profiles=[{NAME: (1, 3, 224, 224)}]")
    if len(profiles) != 1:
        raise BuildError(f"{len(profiles)} profiles were given; one with fixed shapes is supported")
    for name, shape in profiles[0].items():
        if not all(isinstance(extent, (int, np.integer)) and extent >= 0 for extent in shape):
            raise BuildError(f"profile of {name}: {shape!r} is no shape; ranges of shapes are not supported yet")
    return {name: tuple(map(int, shape)) for name, shape in profiles[0].items()}


def _target(name: str) -> Target:
    try:
        device = get_target(name)
    except UnknownTarget as error:
        raise BuildError(str(error)) from None
    return device


def _variant(device: Target, program: Program) -> Variant:
    return variant_of(device, [program]) if device.backend == "cuda" else Variant(device.name, [program])


def _metadata(
    source: onnx_model.Model,
    device: Target,
    shapes: Mapping[str, Shape],
    graph: Graph,
    program: Program,
    request: Request | None,
    output_names: Sequence[str],
) -> dict[str, Any]:
    """What people may want to know of an engine: no times, no paths, nothing that differs from build to build."""
    precision = "fp32" if request is None else request.precision
    metadata = {
        "builder": __version__,
        "model": {
            "name": source.proto.graph.name,
            "sha256": hashlib.sha256(source.proto.SerializeToString(deterministic=True)).hexdigest(),
        },
        "options": {"target": device.name, "precision": precision, "profile": {k: list(v) for k, v in shapes.items()}},
        "memory": {
            "arena": program.arena_size,
            "lower_bound": program.lower_bound,
            "constants": sum(b.size for b in program.buffers if b.data is not None),
        },
        "passes": [f"{name}: {message}" for name, message in graph.report],
        "ledger": ledger.entries(graph, request),
    }
    if request is not None:
        metadata |= {"outputs": ledger.outputs(graph, output_names, request), "measured": request.measured}
    return metadata
