"""run an engine once on arrays from files

Without --output-dir it prints a summary of each output.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import ingot
from ingot.arrays import shape_text
from ingot.cli.common import Progress, add_json, add_running, print_json, table
from ingot.cli.inputs import add_inputs, read_inputs
from ingot.errors import ArgumentError

EXAMPLE = "ingot run model.ingot --input image=cat.npy --output-dir out"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("engine", type=Path, metavar="ENGINE")
    add_inputs(parser, "all are needed")
    parser.add_argument("--output-dir", type=Path, metavar="DIR", help="write each output there as NAME.npy")
    add_running(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    engine = ingot.load(options.engine, isa=options.isa)
    inputs = read_inputs(engine, options.input)
    with engine.context(threads=options.threads) as context, Progress("running"):
        outputs = context.run(inputs)
    files = write(outputs, options.output_dir) if options.output_dir else {}
    if options.json:
        print_json(
            {"engine": str(options.engine), "outputs": [describe(n, a, files.get(n)) for n, a in outputs.items()]}
        )
        return 0
    rows = []
    for name, array in outputs.items():
        d = describe(name, array, None)
        figures = [f"{d[key]:.6g}" if array.size else "-" for key in ("min", "mean", "max")]
        rows.append([name, d["dtype"], shape_text(array.shape), *figures, files.get(name, "")])
    print(
        table(
            rows, ["output", "type", "shape", "min", "mean", "max", "file" if files else ""], right=(3, 4, 5), indent=""
        )
    )
    return 0


def describe(name: str, array: np.ndarray, file: str | None) -> dict[str, Any]:
    """An output in figures; min, mean and max are absent when it has no elements."""
    figures: dict[str, Any] = {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "file": file}
    if array.size:
        wide = array.astype(np.float64)
        figures |= {"min": float(wide.min()), "mean": float(wide.mean()), "max": float(wide.max())}
    return figures


def write(outputs: dict[str, np.ndarray], folder: Path) -> dict[str, str]:
    """Write every output into the folder and return the files by name. A slash in a name becomes an underscore."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for name, array in outputs.items():
        safe = name.replace("/", "_").lstrip(".") or "output"
        path = folder / f"{safe}.npy"
        if str(path) in files.values():
            raise ArgumentError(f"{path}: two outputs would have this file")
        np.save(path, array)
        files[name] = str(path)
    return files
