"""compare an engine's outputs with the ONNX reference

The reference is onnxruntime where installed, else onnx.reference. Exit status 1 when an output is further off than the
engine's precision allows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import ingot
from ingot.arrays import shape_text
from ingot.cli.common import Progress, add_json, add_running, print_json, table
from ingot.cli.inputs import add_inputs, complete, read_inputs
from ingot.errors import EngineError

EXAMPLE = "ingot compare model.onnx model.ingot --input image=cat.npy"
#: D4 by element type: norm of the difference over that of the reference; largest difference over largest value
BOUNDS = {"float64": (1e-4, 1e-3), "float32": (1e-4, 1e-3), "float16": (5e-3, 5e-2)}
#: of integers and booleans
EQUAL_SHARE = 0.999


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("engine", type=Path, metavar="ENGINE")
    add_inputs(parser, "others are generated: random floats, zero integers")
    parser.add_argument(
        "--reference", choices=["auto", "onnxruntime", "onnx"], default="auto", help="what to compare with"
    )
    add_running(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from ingot.cli.reference import run_reference

    engine = ingot.load(options.engine, isa=options.isa)
    inputs = complete(engine, read_inputs(engine, options.input))
    with engine.context(threads=options.threads) as context, Progress("running the engine") as progress:
        outputs = context.run(inputs)
        progress("running the reference")
        name, reference = run_reference(options.model, inputs, options.reference)
    missing = [output for output in outputs if output not in reference]
    if missing:
        raise EngineError(f"{options.engine}: output {missing[0]!r} is not in {options.model}: is it another model's?")
    rows = [{"output": key, **difference(array, reference[key])} for key, array in outputs.items()]
    if options.json:
        print_json({"model": str(options.model), "engine": str(options.engine), "reference": name, "outputs": rows})
    else:
        print(f"{options.engine} against {name}")
        print(
            table(
                [_cells(row) for row in rows],
                ["output", "type", "shape", "relative", "max abs", "equal", ""],
                right=(3, 4, 5),
            )
        )
    bad = [row["output"] for row in rows if not row["ok"]]
    if bad:
        print(f"ingot compare: {options.engine}: further off than allowed: {', '.join(bad)}", file=sys.stderr)
    return 1 if bad else 0


def difference(got: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """How far an output is off; ``relative`` is the norm of the difference over that of the reference.

    NaN must meet NaN, and infinity itself.
    """
    figures: dict[str, Any] = {"dtype": str(got.dtype), "shape": list(got.shape)}
    if got.shape != expected.shape:
        return {**figures, "ok": False, "reason": f"the reference has shape {shape_text(expected.shape)}"}
    a, b = got.astype(np.float64), expected.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(a - b))
    gap[~np.isfinite(gap)] = np.inf
    known = b[np.isfinite(b)]
    norm, largest = float(np.linalg.norm(known)), float(np.abs(known).max(initial=0.0))
    distance = float(np.linalg.norm(gap.ravel()))
    relative = distance / norm if norm else distance
    figures |= {
        "relative": relative,
        "max_abs": float(gap.max(initial=0.0)),
        "largest": largest,
        "equal": float(same.mean()) if same.size else 1.0,
    }
    if got.dtype.kind == "f":
        bound, element = BOUNDS[str(got.dtype)]
        figures["ok"] = relative <= bound and figures["max_abs"] <= element * max(largest, 1e-6)
    else:
        figures["ok"] = figures["equal"] >= EQUAL_SHARE
    return figures


def _cells(row: dict[str, Any]) -> list[str]:
    start = [row["output"], row["dtype"], shape_text(row["shape"])]
    if "relative" not in row:
        return [*start, "-", "-", "-", row["reason"]]
    equal = "" if row["dtype"].startswith("float") else f"{100 * row['equal']:.2f} %"
    return [*start, f"{row['relative']:.2e}", f"{row['max_abs']:.2e}", equal, "ok" if row["ok"] else "TOO FAR OFF"]
