"""What the parts of ``on_device.py`` share: programs of one step, runs on PyTorch's stream, errors, processes."""

from __future__ import annotations

import fcntl
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import ingot
from ingot import builder
from ingot._native import ffi, lib
from ingot.builder import lower
from ingot.builder.ir import Graph, Node
from ingot.kernels.spec import Tactic
from ingot.targets import Target

HERE = Path(__file__).resolve().parent
sys.path.extend(str(HERE.parent / folder) for folder in ("cuda", "kernels", "models", "bench", "emulator"))

Rows = list[dict[str, Any]]


def say(*words: object, sep: str = " ") -> None:
    """Prints a line at once, whichever threads do."""
    sys.stdout.write(sep.join(map(str, words)) + "\n")
    sys.stdout.flush()


def wrong(rows: Iterable[dict[str, Any]]) -> int:
    return sum(bool(r.get("failed") or r.get("wrong") or r.get("different") or r.get("ok") is False) for r in rows)


def in_processes(function: Callable[..., Any], given: Sequence[tuple], jobs: int, fresh: bool = False) -> Iterator[Any]:
    """What the function of a module makes of each tuple of arguments, in their order, ``jobs`` at a time, each in one
    of as many processes; in this one where that is one. ``fresh``: each in a new process."""
    if jobs == 1 and not fresh:
        yield from (function(*each) for each in given)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=1 if fresh else None) as pool:
        for future in [pool.apply_async(function, each) for each in given]:
            yield future.get()


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """While no other process has the device for itself."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else repr(error)


def attempt(function: Callable[..., Any], *given: Any) -> tuple[Any, str]:
    """What the function makes of what is given, or None and why it failed."""
    try:
        return function(*given), ""
    except Exception as error:
        return None, first_line(error)


def build_model(name: str, precision: str, target: str, self_test: bool = True) -> bytes:
    """The engine of a model of ``zoo`` for its sample's shapes; INT8 is calibrated with the sample."""
    import zoo

    (model,) = (m for m in zoo.models() if m.name == name)
    inputs, _ = model.sample()
    options: dict[str, Any] = {"precision": precision, "profiles": [{n: a.shape for n, a in inputs.items()}]}
    with tempfile.TemporaryDirectory() as folder:
        if precision == "int8" and not model.quantised:
            options |= {"calibration": [inputs], "calibration_cache": Path(folder, "ranges")}
        return builder.build(str(model.path), target=target, self_test=self_test, **options)


def program_of(node: Node, tactic: Tactic, target: Target) -> Any:
    """A program of that one step."""
    node.tactic = tactic
    inputs = list(dict.fromkeys(v for v in node.inputs if v is not None and not v.is_constant))
    graph = Graph(inputs, list(node.outputs), [node], "sample")
    graph.target = target
    return lower(graph, "sample", [f"out{i}" for i in range(len(node.outputs))])


def relative(got: np.ndarray, wanted: np.ndarray) -> float:
    """Norm of the difference over norm of the reference; of whole numbers the share that differs."""
    if wanted.dtype.kind != "f":
        return float(np.mean(got != wanted))
    norm = float(np.linalg.norm(wanted.astype(np.float64)))
    return float(np.linalg.norm(got.astype(np.float64) - wanted.astype(np.float64))) / (norm or 1.0)


def run_once(engine: ingot.Engine, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    context = engine.context()
    return {name: np.array(array) for name, array in context.run(inputs).items()}


def interleaved(calls: dict[str, Callable[[], object]], rounds: int, repeats: int) -> dict[str, float]:
    """Microseconds of a call on the device, medians over rounds of ``repeats`` calls between two events."""
    import torch

    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    for _ in range(rounds):
        for name, call in calls.items():
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            for _ in range(repeats):
                call()
            end.record()
            end.synchronize()
            taken[name].append(1e3 * begin.elapsed_time(end) / repeats)
    return {name: statistics.median(some) for name, some in taken.items()}


def bound_context(engine: ingot.Engine, tensors: dict[str, Any], **options: Any) -> ingot.Context:
    """A context with tensors of the device as inputs and outputs, by name."""
    context = engine.context(**options)
    for name, tensor in tensors.items():
        context.bind(name, tensor)
    return context


def bound_call(engine: ingot.Engine, tensors: dict[str, Any]) -> Callable[[], object]:
    """A run of such a context on PyTorch's stream."""
    import torch

    context, stream = bound_context(engine, tensors), torch.cuda.current_stream().cuda_stream
    return lambda: context.enqueue(stream)


def run_us(context: ingot.Context, runs: int) -> tuple[float, float]:
    """Median and 99th percentile of the microseconds of ``ingot_context_run``, called with nothing around it."""
    error, call, clock = ffi.new("ingot_error *"), lib.ingot_context_run, time.perf_counter_ns
    pointer, taken = context._pointer, np.empty(runs)
    for i in range(runs):
        start = clock()
        status = call(pointer, error)
        taken[i] = clock() - start
        if status:
            raise RuntimeError(ffi.string(error.message).decode())
    return float(np.median(taken)) / 1e3, float(np.percentile(taken, 99)) / 1e3
