"""What INT8 costs: every model of ``../shared/models`` at its task, in each precision.

``python tests/accuracy/accuracy.py [--model PATTERN] [--precision NAME ...] [--write README.md]``

An engine is calibrated on at most 200 samples and judged on others (``split.json``). ``synthetic`` is INT8 calibrated
on generated inputs, ``best`` keeps in FP32 what has to be, ``shipped`` is the same network as it was published in INT8.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
from data import folder  # noqa: E402
from report import table  # noqa: E402
from tasks import TASKS, Inputs, Run, Task  # noqa: E402

import ingot  # noqa: E402

PRECISIONS = ("int8", "synthetic", "best", "shipped")
_RANGES = {"synthetic": {"calibration_synthetic": True}}


def model_file(name: str) -> Path:
    """A model of ../shared/models, or of the examples."""
    own = HERE.parents[1] / "examples" / name / "policy.onnx"
    return own if own.exists() else folder() / "models" / name / "model.onnx"


class Engine:
    """An engine for inputs like the given ones."""

    def __init__(self, name: str, inputs: Inputs, **options: Any) -> None:
        path = model_file(name)
        self.names = input_names(path)
        shapes = [dict(zip(self.names, (np.shape(x) for x in inputs)))]
        self.built = ingot.build(path, profiles=shapes, self_test=False, **options)
        self.context = self.built.context(threads=1)

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs in their order; they are gone with the next run."""
        for name, array in zip(self.names, inputs):
            self.context.inputs[name][...] = array
        self.context.run()
        return list(self.context.outputs.values())


def input_names(path: Path) -> list[str]:
    """The model's inputs in their order."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    held = {t.name for t in graph.initializer}
    return [i.name for i in graph.input if i.name not in held]


def build(task: Task, precision: str, samples: Sequence[Inputs], method: str) -> Engine:
    """The task's model in one of :data:`PRECISIONS`."""
    if precision == "shipped":
        return Engine(task.twin, samples[0], precision="int8")
    names = input_names(model_file(task.model))
    batches = [dict(zip(names, sample)) for sample in samples]
    given = _RANGES.get(precision, {"calibration": batches, "calibration_method": method})
    return Engine(task.model, samples[0], precision="best" if precision == "best" else "int8", **given)


def judge(task: Task, precisions: Sequence[str], method: str) -> dict[str, Any]:
    """One row: the score in each precision, as plain numbers."""
    samples = task.calibration(_first(task))
    reference = Engine(task.model, samples[0])
    float_found = task.results(reference.run)
    row: dict[str, Any] = {"model": task.model, "measure": task.measure, "grid": task.grid}
    row["fp32"] = vars(task.score(float_found, float_found))
    for precision in precisions:
        if precision == "shipped" and not task.twin:
            continue
        start = time.perf_counter()
        try:
            engine = build(task, precision, samples, method)
        except ingot.IngotError as error:
            row[precision] = {"error": str(error)}
            continue
        built = time.perf_counter() - start
        row[precision] = vars(task.score(task.results(engine.run), float_found)) | {"build_s": round(built, 1)}
        row[precision] |= {"kept": kept(engine)}
        print(f"{task.model} {precision}: {row[precision]}", file=sys.stderr)
    return row


def kept(engine: Engine) -> int:
    """How many layers ``best`` kept out of INT8."""
    return engine.built.inspect()["metadata"].get("measured", {}).get("kept_out", 0)


def _first(task: Task) -> Run:
    """The FP32 engine, made when the first inputs are known: calibration of a stream runs it."""
    made: list[Engine] = []

    def run(*inputs: np.ndarray) -> list[np.ndarray]:
        if not made:
            made.append(Engine(task.model, inputs))
        return made[0].run(*inputs)

    return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", metavar="PATTERN", help="models whose name matches (all)")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="columns (all)")
    parser.add_argument("--method", default="auto", help="how ranges are chosen (auto)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between the marks in this file")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="keep all figures here; those of an earlier run that are not measured again stay",
    )
    options = parser.parse_args()
    if folder() is None:
        print("../shared is not here: nothing to judge", file=sys.stderr)
        return 1
    patterns = options.model or ["*"]
    tasks = [task for task in TASKS if any(fnmatch.fnmatch(task.model, p) for p in patterns)]
    known = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    for task in tasks:
        known[task.model] = known.get(task.model, {}) | judge(task, options.precision or PRECISIONS, options.method)
        if options.json:
            options.json.write_text(json.dumps(known, indent=1) + "\n")
    text = table([known[task.model] for task in TASKS if task.model in known])
    print(text)
    if options.write:
        before, mark, rest = options.write.read_text().partition("<!-- accuracy:begin -->\n")
        _, end, after = rest.partition("<!-- accuracy:end -->")
        if not mark or not end:
            print(f"{options.write}: no accuracy marks", file=sys.stderr)
            return 1
        options.write.write_text(before + mark + text + end + after)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
