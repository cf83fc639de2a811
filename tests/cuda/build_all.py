"""Builds the models of ``../shared`` (or ``INGOT_SHARED``) for CUDA devices: ``tests/cuda/build_all.py --jobs 8``.

In FP16 and INT8, with NVRTC and without a GPU; those that arrive quantised as they are. Each engine is built twice and
has the same bytes; no kernel of tensor cores spills. What was compiled stays in the user's cache, so another device of
the same architecture takes little time. Ends with status 1 when one cannot be built.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))
from compile_instances import TENSOR_CORES
from device_common import build_model, first_line, in_processes, say, wrong
from zoo import ZooModel, models

from ingot.inspect import inspect_engine

TARGETS = ("jetson-orin-nano-8gb", "jetson-agx-orin-64gb", "jetson-thor", "h200")
PRECISIONS = ("fp16", "int8")


def built(name: str, precision: str, target: str, twice: bool) -> dict[str, Any]:
    """A row: size, seconds, compiled kernels and predicted microseconds of the engine, or why there is none."""
    row: dict[str, Any] = {"target": target, "model": name, "precision": precision}
    try:
        start = time.perf_counter()
        engine = build_model(name, precision, target)
        row["seconds"] = round(time.perf_counter() - start, 1)
        metadata = inspect_engine(engine)["metadata"]
        kernels = metadata["cuda"]["kernels"]
        row |= {"bytes": len(engine), "kernels": len(kernels), "us": round(metadata["predicted"]["ns"] / 1e3, 1)}
        spilled = [k["entry"] for k in kernels if k["spilled"] and k["source"] in TENSOR_CORES]
        if spilled:
            row["wrong"] = f"{', '.join(spilled)} spill"
        if twice and build_model(name, precision, target) != engine:
            row["wrong"] = "built again it has other bytes"
    except Exception as error:
        row["failed"] = first_line(error)
    return row


def input_bytes(model: ZooModel) -> int:
    """Of the sample: those with large images take longest and come last."""
    return sum(array.nbytes for array in model.sample()[0].values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", nargs="+", default=TARGETS, metavar="NAME")
    parser.add_argument("--precision", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--only", default="", help="a part of the name of a model")
    parser.add_argument("--once", action="store_true", help="do not build each a second time")
    parser.add_argument("--jobs", type=int, default=1, help="engines that are built at once")
    args = parser.parse_args()
    found = sorted((model for model in models() if args.only in model.name), key=input_bytes)
    given = [
        (model.name, precision, target, not args.once)
        for target in args.target
        for model in found
        for precision in (("int8",) if model.quantised else args.precision)
        if precision in args.precision
    ]
    start, rows = time.perf_counter(), []
    for row in in_processes(built, given, args.jobs):
        rows.append(row)
        say(*(f"{key} {value}" if isinstance(value, (int, float)) else value for key, value in row.items()))
    say(f"{len(rows)} engines in {time.perf_counter() - start:.0f} s, {wrong(rows)} wrong")
    return 1 if wrong(rows) or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
