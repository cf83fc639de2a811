"""compare an engine with the ONNX reference, output by output or step by step

The reference is onnxruntime where installed, else onnx.reference. Exit status 1 when an output is further off than the
engine's precision allows: an error of 1e-4 (norm of the difference over norm of the reference) in fp32. INT8 has no
such bound: give one with --max-error.

--per-layer runs the engine of the file step by step and sets the result of each step against the tensor of the model
that it computes, int8 as the numbers that it stands for:
  relative  norm of the difference over norm of the tensor in the reference: all of the error that is there
  SQNR      the same in decibels: -20 log10(relative)
  added     the error that the step puts in: its distance from what the model's nodes make, in float, of the very
            numbers that the step read, over the same norm
An asterisk marks the steps that add most. --plot draws both errors over the steps.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import ingot
from ingot.arrays import shape_text
from ingot.cli.common import Progress, UsageError, add_json, add_running, positive, print_json, shorten, table
from ingot.cli.figures import difference
from ingot.cli.inputs import add_input_ranges, add_inputs, complete, parse_input_ranges, read_inputs
from ingot.cli.layers import Layer, measure
from ingot.cli.picture import draw
from ingot.cli.reference import Reference
from ingot.engine import Engine
from ingot.errors import EngineError

#: norm of the difference over norm of the reference, of engines that compute in these precisions. Of int8 there is no
#: bound, but NaN or infinity in the wrong place is an error all the same
LIMITS = {"fp16": 5e-3, "bf16": 5e-2, "int8": sys.float_info.max}

EXAMPLE = "ingot compare model.onnx model.ingot --input image=cat.npy --per-layer --plot error.svg"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("engine", type=Path, metavar="ENGINE")
    add_inputs(parser, "others are generated: random floats, zero integers")
    add_input_ranges(parser, "for inputs that are generated")
    parser.add_argument(
        "--reference", choices=["auto", "onnxruntime", "onnx"], default="auto", help="what to compare with"
    )
    parser.add_argument("--per-layer", action="store_true", help="show for each step its error, and what it adds")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the errors of all steps")
    parser.add_argument(
        "--max-error", type=positive, metavar="E", help="the relative error up to which an output is fine"
    )
    add_running(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    if options.plot is not None and not options.plot.absolute().parent.is_dir():
        raise UsageError(f"{options.plot}: its folder does not exist")
    engine = ingot.load(options.engine, isa=options.isa)
    inputs = complete(engine, read_inputs(engine, options.input), parse_input_ranges(options.input_range, engine))
    reference = Reference(options.model, options.reference)
    with Progress("running the engine") as progress:
        with engine.context(threads=options.threads) as context:
            outputs = context.run(inputs)
        progress("running the reference")
        rows = _compare(options, engine, outputs, reference.outputs(inputs))
        layers: list[Layer] | None = None
        if options.per_layer or options.plot is not None:
            progress("looking at each step")
            layers = measure(engine, options.engine, reference, inputs)
    if options.plot is not None:
        draw(layers, options.engine.name, reference.name, options.plot)
    if options.json:
        head = {"model": str(options.model), "engine": str(options.engine), "reference": reference.name}
        steps = {"layers": [asdict(layer) for layer in layers]} if options.per_layer else {}
        print_json({**head, "outputs": rows, **steps})
    else:
        print(f"{options.engine} against {reference.name}")
        if options.per_layer:
            print(_layers(layers))
        print(_outputs(rows))
    bad = [row["output"] for row in rows if not row["ok"]]
    if bad:
        print(f"ingot compare: {options.engine}: further off than allowed: {', '.join(bad)}", file=sys.stderr)
    return 1 if bad else 0


def _compare(
    options: argparse.Namespace,
    engine: Engine,
    outputs: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
) -> list[dict[str, Any]]:
    missing = [output for output in outputs if output not in expected]
    if missing:
        raise EngineError(f"{options.engine}: output {missing[0]!r} is not in {options.model}: is it another model's?")
    limit = options.max_error
    got = {row["got"] for row in engine.inspect()["metadata"].get("ledger", [])}
    if limit is None and got & LIMITS.keys():
        limit = max(LIMITS[precision] for precision in got & LIMITS.keys())
    return [{"output": key, **difference(array, expected[key], limit)} for key, array in outputs.items()]


def _outputs(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["output", "type", "shape", "relative", "SQNR dB", "max abs", "equal", ""]
    return table([_cells(row) for row in rows], head, right=(3, 4, 5, 6))


def _cells(row: Mapping[str, Any]) -> list[str]:
    start = [row["output"], row["dtype"], shape_text(row["shape"])]
    if "relative" not in row:
        return [*start, "-", "-", "-", "-", row["reason"]]
    equal = "" if row["dtype"].startswith("float") else f"{100 * row['equal']:.2f} %"
    figures = [f"{row['relative']:.2e}", f"{row['sqnr']:.1f}", f"{row['max_abs']:.2e}"]
    return [*start, *figures, equal, "ok" if row["ok"] else "TOO FAR OFF"]


def _layers(layers: Sequence[Layer]) -> str:
    rows = []
    for layer in layers:
        figures = ["-", "-", "-"]
        if layer.relative is not None:
            figures = [f"{layer.relative:.2e}", f"{layer.sqnr:.1f}", f"{layer.added:.2e}"]
        mark = "*" if layer.worst else ""
        rows.append([layer.step, layer.kernel, layer.precision, *figures, mark, shorten(layer.layer, 60)])
    head = ["#", "kernel", "precision", "relative", "SQNR dB", "added", "", "nodes"]
    return table(rows, head, right=(0, 3, 4, 5))
