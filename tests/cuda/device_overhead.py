"""The part ``overhead`` of ``on_device.py``: what a run costs beside its graph's own time."""

from __future__ import annotations

import statistics
from functools import partial
from itertools import pairwise
from typing import Any

import onnx
from device_common import Rows, attempt, bound_context, interleaved, run_us, say
from onnx import TensorProto, helper

import ingot
from ingot import builder
from ingot.targets import Target

WAITS = ("spin", "poll", "block")
#: softmaxes that follow each other: a graph of few kernels, and one of many
LENGTHS = (3, 30)
SHAPE = [64, 256]


def chain(length: int) -> onnx.ModelProto:
    """Steps of which each waits for the one before it."""
    names = ["x", *(f"t{i}" for i in range(length - 1)), "y"]
    nodes = [helper.make_node("Softmax", [a], [b], axis=-1) for a, b in pairwise(names)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def measured(data: bytes, wait: str, runs: int) -> dict[str, Any]:
    """Of an engine whose input and output lie on the device: its graph's own time, by the device's clock over runs that
    follow each other, and the time of a run by the host's."""
    import torch

    held = {name: torch.zeros(SHAPE, device="cuda") for name in ("x", "y")}
    context = bound_context(ingot.load(data), held, wait=wait)
    stream = torch.cuda.current_stream().cuda_stream
    graph = interleaved({"graph": lambda: context.enqueue(stream)}, 9, 100)["graph"]
    context.wait()
    run_us(context, runs // 10)
    median, slow = run_us(context, runs)
    return {"graph_us": graph, "run_us": median, "run_us_99": slow, "overhead_us": median - graph}


def overhead_part(target: Target, only: str, jobs: int = 1, runs: int = 2000) -> Rows:
    """A row an engine and way to wait; three rounds, the median of each figure."""
    rows: Rows = []
    for length in LENGTHS:
        data, why = attempt(partial(builder.build, target=target.name, self_test=False), chain(length))
        for wait in WAITS:
            if only not in wait:
                continue
            row: dict[str, Any] = {"steps": length, "wait": wait}
            found: list[dict[str, Any]] = []
            if data:
                found, why = attempt(lambda data=data, wait=wait: [measured(data, wait, runs) for _ in range(3)])
            if why:
                row["failed"] = why
            else:
                row |= {name: round(statistics.median(each[name] for each in found), 2) for name in found[0]}
            rows.append(row)
            say(row)
    return rows
