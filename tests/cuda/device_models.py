"""The part ``models`` of ``on_device.py``."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from device_common import Rows, build_model, first_line, in_processes, relative, say

import ingot
from ingot.targets import Target

#: of the error against the sample's outputs
BOUNDS = {"fp32": 1e-4, "fp16": 5e-3}


def models_part(target: Target, only: str, jobs: int = 1) -> Rows:
    """A row a model and precision: error against the sample's outputs, INT8 also against our CPU."""
    from zoo import models

    given = [
        (model.name, precision, target.name)
        for model in models()
        if only in model.name
        for precision in (("int8",) if model.quantised else ("fp32", "fp16", "int8"))
    ]
    rows: Rows = []
    for row in in_processes(model_row, given, jobs):
        rows.append(row)
        say(row)
    return rows


def model_row(name: str, precision: str, target: str) -> dict[str, Any]:
    """Builds a model, runs it on its sample and compares."""
    from zoo import models

    (model,) = (m for m in models() if m.name == name)
    inputs, wanted = model.sample()
    row: dict[str, Any] = {"model": name, "precision": "arrives" if model.quantised else precision}
    try:
        start = time.perf_counter()
        engine = ingot.load(build_model(name, precision, target))
        row["build_s"] = round(time.perf_counter() - start, 1)
        got = run_once(engine, inputs)
        row["error"] = max(relative(got[n], wanted[n]) for n in wanted)
        if precision == "int8":
            here = run_once(ingot.load(build_model(name, precision, "cpu", self_test=False)), inputs)
            row["same_bits_as_cpu"] = all(got[n].tobytes() == here[n].tobytes() for n in got)
            row["from_cpu"] = max(relative(got[n], here[n]) for n in got)
        else:
            row["ok"] = row["error"] <= BOUNDS[precision]
        if engine.inspect()["self_test"]:
            engine.self_test()
            row["self_test"] = "passed"
        else:  # whole numbers that a near tie of floats decides, which the CPU cannot say
            row["self_test"] = "none"
    except Exception as error:
        row["failed"] = first_line(error)
    return row


def run_once(engine: ingot.Engine, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    context = engine.context()
    return {name: np.array(array) for name, array in context.run(inputs).items()}
