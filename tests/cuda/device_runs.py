"""The part ``runs`` of ``on_device.py``."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from device_common import Rows, build_model, in_processes, say

import ingot
from ingot.targets import Target

#: one of each kind: convolutions in FP16 and INT8, a recurrent network, a transformer, a policy
KINDS = {
    "kws_dscnn_fp32": "fp16",
    "mnist_cnn": "int8",
    "vww_mobilenetv1_fp32": "int8",
    "dtln_stage1_lstm": "fp16",
    "stories260k_llama": "fp16",
    "rl_g1_mjx": "fp32",
}


def runs_part(target: Target, only: str, jobs: int = 1, runs: int = 100_000) -> Rows:
    """A row an engine: whether every run gave the bits of the first, and the device memory in use before and after.

    With more ``jobs`` than one as many contexts run at once, each in a thread of its own. The device's memory is that
    of all.
    """
    from zoo import models

    there = {model.name: model for model in models()}
    given = [(name, kind, target.name, False) for name, kind in KINDS.items() if name in there and only in name]
    built = in_processes(build_model, given, jobs)
    loops = []
    for (name, kind, *_), data in zip(given, built):
        context = ingot.load(data).context()
        for key, array in there[name].sample()[0].items():
            context.inputs[key][...] = array
        context.run()
        loops.append((name, kind, context))
    before = free_bytes()

    def row(name: str, kind: str, context: ingot.Context) -> dict[str, Any]:
        found = {"model": name, "precision": kind, "runs": runs, "at_once": min(jobs, len(loops))}
        found |= repeated(context, runs)
        say(found)
        return found

    with ThreadPoolExecutor(jobs) as pool:
        rows = list(pool.map(lambda loop: row(*loop), loops))
    more = before - free_bytes()
    rows.append({"device_bytes_more": more, "ok": more <= 0})
    say(rows[-1])
    return rows


def repeated(context: ingot.Context, runs: int) -> dict[str, Any]:
    """How many of the runs gave other bits than that before them, and how long one took with the comparison."""
    run, outputs = context.run, list(context.outputs.values())
    first = [array.tobytes() for array in outputs]
    different, start = 0, time.perf_counter()
    for _ in range(runs):
        run()
        different += [array.tobytes() for array in outputs] != first
    return {"different": different, "us_a_run": round(1e6 * (time.perf_counter() - start) / runs, 1)}


def free_bytes() -> int:
    """Of the device's memory."""
    import torch

    return torch.cuda.mem_get_info()[0]
