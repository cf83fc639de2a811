"""What is said of CUDA engines: predicted times, and what compiled kernels take."""

from __future__ import annotations

from typing import Any

from ingot.cli.common import shorten, size_text, table

#: registers of a thread; bytes of a thread that did not fit into them or have an address; bytes of a block
HEADS = ["kernel", "size", "registers", "spilled", "stack", "shared"]


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
    total = (
        f"{predicted['ns'] / 1e3:.1f} us in all, {len(rows)} steps, {predicted['chain']} of them one after the other"
    )
    return [f"time ({predicted['note']}): {total}", table(rows, ["us", "kernel", "nodes"], right=(0,))]


def describe_kernels(metadata: dict[str, Any]) -> list[str]:
    """Each compiled kernel, and what it takes of a multiprocessor."""
    cuda = metadata.get("cuda")
    if not cuda:
        return []
    rows = [
        [shorten(k["kernel"], 80), size_text(k["bytes"]), k["registers"], k["spilled"], k["stack"], k["shared"]]
        for k in cuda["kernels"]
    ]
    return [f"\nmachine code ({cuda['compiler']})", table(rows, HEADS, right=(1, 2, 3, 4, 5))]
