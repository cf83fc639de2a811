"""What is said of CUDA engines: how steps are started, predicted times, and what compiled kernels take."""

from __future__ import annotations

from typing import Any

from ingot.cli.common import shorten, size_text, table

#: registers of a thread; bytes of a thread that did not fit into them or have an address; bytes of a block
HEADS = ["entry", "instance", "size", "registers", "spilled", "stack", "shared"]
#: of a step: the compiled entry, blocks, threads of a block, its bytes of dynamic shared memory, microseconds
STEP_HEADS = ["entry", "grid", "block", "shared", "us"]


def describe_start(step: dict[str, Any]) -> list[str]:
    """How a step is started and how long it should take: a cell for each of ``STEP_HEADS``."""
    launch = step["launch"]
    us = f"{step['predicted_ns'] / 1e3:.1f}" if "predicted_ns" in step else ""
    return [launch["entry"], _extents(launch["grid"]), _extents(launch["block"]), str(launch["shared_bytes"]), us]


def _extents(numbers: list[int]) -> str:
    """``4x2`` for [4, 2, 1]."""
    while len(numbers) > 1 and numbers[-1] == 1:
        numbers = numbers[:-1]
    return "x".join(map(str, numbers))


def predicted_total(metadata: dict[str, Any]) -> str:
    """The predicted time of all; empty where the engine says nothing of it."""
    predicted = metadata.get("predicted")
    if not predicted:
        return ""
    steps, chain = len(predicted["steps"]), predicted["chain"]
    return (
        f"time ({predicted['note']}): {predicted['ns'] / 1e3:.1f} us in all, "
        f"{steps} steps, {chain} of them one after the other"
    )


def describe_prediction(metadata: dict[str, Any]) -> list[str]:
    """The predicted time of each layer and of all; nothing where the engine says nothing of it."""
    predicted = metadata.get("predicted")
    if not predicted:
        return []
    kernels = [entry["kernel"] for entry in metadata.get("ledger", [])]
    rows = [
        [f"{step['ns'] / 1e3:.1f}", kernel, shorten(step["layer"], 60)]
        for step, kernel in zip(predicted["steps"], kernels)
    ]
    return [predicted_total(metadata), table(rows, ["us", "kernel", "nodes"], right=(0,))]


def describe_kernels(metadata: dict[str, Any]) -> list[str]:
    """Each compiled kernel, and what it takes of a multiprocessor."""
    cuda = metadata.get("cuda")
    if not cuda:
        return []
    taken = ("registers", "spilled", "stack", "shared")
    rows = [
        [k["entry"], shorten(k["kernel"], 80), size_text(k["bytes"]), *(k[each] for each in taken)]
        for k in cuda["kernels"]
    ]
    return [f"\nmachine code ({cuda['compiler']})", table(rows, HEADS, right=(2, 3, 4, 5, 6))]
