"""The part ``runs`` of ``on_device.py``."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from device_common import Rows, attempt, build_model, in_processes, say

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
    given = [(build_model, name, kind, target.name, False) for name, kind in KINDS.items() if only in name]
    loops, rows = [], []
    for (_, name, kind, *_), (data, why) in zip(given, in_processes(attempt, given, jobs)):
        context, why = (None, why) if why else attempt(ready, name, data)
        row = {"model": name, "precision": kind}
        rows.append(row | {"failed": why} if why else row | {"runs": runs, "at_once": min(jobs, len(given))})
        if context:
            loops.append((rows[-1], context))
    before = free_bytes() if loops else 0

    def loop(row: dict[str, Any], context: ingot.Context) -> None:
        found, why = attempt(repeated, context, runs)
        row |= {"failed": why} if why else found

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda each: loop(*each), loops))
    more = before - free_bytes() if loops else 0
    rows.append({"device_bytes_more": more, "ok": more <= 0})
    say(*rows, sep="\n")
    return rows


def ready(name: str, data: bytes) -> ingot.Context:
    """A context with the sample of the model in its inputs, run once."""
    from zoo import models

    (model,) = (m for m in models() if m.name == name)
    context = ingot.load(data).context()
    for key, array in model.sample()[0].items():
        context.inputs[key][...] = array
    context.run()
    return context


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
