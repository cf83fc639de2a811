"""The part ``sanitizer`` of ``on_device.py``: compute-sanitizer over a model of each kind.

``python tests/cuda/device_sanitizer.py ENGINE INPUTS.npz`` is what it watches: an engine that was built before, loaded
and run twice.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from device_common import Rows, attempt, build_model, first_line, in_processes, say

import ingot
from ingot.targets import Target

#: one of each kind, small ones, since some tools take a thousand times as long
KINDS = (
    ("mnist_cnn", "fp16"),
    ("mnist_cnn", "int8"),
    ("rl_g1_mjx", "fp32"),
    ("dtln_stage1_lstm", "fp16"),
    ("kws_dscnn_fp32", "fp16"),
    ("stories260k_llama", "fp16"),
    ("resnet8_mlperftiny_fp32", "int8"),
    ("vww_mobilenetv1_fp32", "int8"),
)
#: the tools, and the last line of each with what it found
TOOLS = {
    "memcheck": re.compile(r"ERROR SUMMARY: (\d+) error"),
    "racecheck": re.compile(r"RACECHECK SUMMARY: (\d+) hazard"),
}
#: where it is when it is not on the path
PLACE = "/usr/local/cuda/bin/compute-sanitizer"


def sanitizer_part(target: Target, only: str, jobs: int = 1, limit_s: float = 120.0) -> Rows:
    """A row a model and tool: what was found; what has not ended after ``limit_s`` in all has failed."""
    begin = time.monotonic()
    command = shutil.which("compute-sanitizer") or PLACE
    given = [(build_model, name, kind, target.name, False) for name, kind in KINDS if only in name]
    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder:
        work = []
        for (_, name, kind, *_), (data, why) in zip(given, in_processes(attempt, given, jobs)):
            if why:
                rows.append({"model": name, "precision": kind, "failed": why})
                continue
            engine = Path(folder, f"{name}_{kind}.ingot")
            engine.write_bytes(data)
            inputs = Path(folder, f"{name}.npz")
            np.savez(inputs, **_sample(name))
            work += [({"model": name, "precision": kind, "tool": tool}, engine, inputs) for tool in TOOLS]
        # the tools that take long come last, so that what the time does not suffice for is of those
        work.sort(key=lambda each: list(TOOLS).index(each[0]["tool"]))

        def one(what: dict[str, Any], engine: Path, inputs: Path) -> dict[str, Any]:
            row = what | watched(command, what["tool"], [str(engine), str(inputs)], begin + limit_s - time.monotonic())
            say(row)
            return row

        with ThreadPoolExecutor(jobs) as pool:
            return [*rows, *pool.map(lambda each: one(*each), work)]


def _sample(name: str) -> dict[str, np.ndarray]:
    from zoo import models

    return next(model for model in models() if model.name == name).sample()[0]


def watched(command: str, tool: str, arguments: list[str], seconds: float) -> dict[str, Any]:
    """What the tool found: ``found`` as it counts, and its first lines about it in ``wrong``.

    Errors of calls are not reported: the runtime asks the driver whether memory is known to it, and says itself what
    fails.
    """
    start = time.monotonic()
    line = [command, "--tool", tool, "--report-api-errors", "no", "--print-limit", "3", sys.executable, __file__]
    try:
        ended = subprocess.run(
            [*line, *arguments], capture_output=True, text=True, timeout=max(seconds, 0.1), env=os.environ, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"failed": first_line(error)[-120:]}
    row: dict[str, Any] = {"seconds": round(time.monotonic() - start, 1)}
    output = ended.stdout + ended.stderr
    summary = TOOLS[tool].search(output)
    if not summary or "ran twice" not in output:
        return row | {"failed": " | ".join(output.strip().splitlines()[-4:])}
    row["found"] = int(summary[1])
    if row["found"]:
        row["wrong"] = [text.removeprefix("=========").strip() for text in output.splitlines() if "=" in text][1:9]
    return row


def main() -> None:
    engine, inputs = sys.argv[1:]
    context = ingot.load(engine).context()
    for name, array in np.load(inputs).items():
        context.inputs[name][...] = array
    for _ in range(2):
        context.run()
    print("ran twice")


if __name__ == "__main__":
    main()
