"""The part ``profile`` of ``on_device.py``: where the device's time goes, and how far predictions are off."""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from device_common import Rows, alone, attempt, bound_context, build_model, in_processes, run_us, say

import ingot
from ingot import builder
from ingot.targets import Target

#: microseconds: begin and end of what the device did, and the kernel's entry or what was copied
Event = tuple[float, float, str]
#: network, batch, precision, target
Case = tuple[str, int, str, str]
RUNS = 20


def profile_part(target: Target, only: str, jobs: int = 1, batches: Sequence[int] = (1,)) -> Rows:
    """A row a network of the benchmark, and a model of ``../shared``: microseconds of its kernels by PyTorch's profiler
    (CUPTI), in ``steps``.

    ``span`` is from the first kernel or copy to the last's end, ``kernels`` the sum of all kernels, ``gaps`` what is
    between them; ``run`` is a run and its wait by the host's clock, without the profiler, which is what is
    ``predicted``. ``ratio`` is predicted over measured, of a step with the gap before it; None of one that ends no
    later than those before it, beside which it runs.
    """
    given = [each for each in cases(target, batches) if only in f"{each[0]} {each[2]}"]
    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "lock")
        for row in in_processes(network_row, [(*each, lock) for each in given], jobs, fresh=True):
            rows.append(row)
            if "failed" in row:
                say(row)
            else:
                print_steps(row)
    for kernel, ratios in by_kernel(rows).items():
        say(f"predicted / measured, {kernel}: {spread(ratios)}")
    return rows


def network_row(name: str, batch: int, precision: str, target: str, lock: Path) -> dict[str, Any]:
    """Builds a network and measures it while nobody else does. For a process of its own: after graphs that are gone the
    profiler takes kernels of later ones for theirs."""
    data, why = attempt(build_network, name, batch, precision, target)
    found: dict[str, Any] = {"failed": why}
    if not why:
        with alone(lock):
            found, why = attempt(profiled, data, name, batch)
    return {"network": name, "batch": batch, "precision": precision} | ({"failed": why} if why else found)


def cases(target: Target, batches: Sequence[int]) -> list[Case]:
    """The networks of the benchmark for these batches, the models of ``../shared`` for their samples' own."""
    import torch_models
    from zoo import models

    found = [
        (name, batch, precision, target.name)
        for name, network in torch_models.NETWORKS.items()
        for batch in batches
        for precision in (("fp16", "int8") if network.convolutional else ("fp16",))
    ]
    return found + [
        (model.name, 1, precision, target.name)
        for model in models()
        for precision in (("int8",) if model.quantised else ("fp16", "int8"))
    ]


def build_network(name: str, batch: int, precision: str, target: str) -> bytes:
    """The engine of a network; INT8 is calibrated with its example."""
    import torch
    import torch_models

    if name not in torch_models.NETWORKS:
        return build_model(name, precision, target, self_test=False)
    options: dict[str, Any] = {"precision": precision, "self_test": False}
    if precision == "fp16":
        options["max_error"] = 1.0
    else:
        options["calibration"] = [{"x": torch_models.example(name, batch).numpy()}]
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        return builder.build(str(torch_models.write(name, batch, Path(folder))), target=target, **options)


def inputs_of(name: str, batch: int) -> dict[str, Any]:
    """The example of a network, or the sample of a model, as tensors."""
    import torch
    import torch_models
    import zoo

    if name in torch_models.NETWORKS:
        return {"x": torch_models.example(name, batch)}
    (model,) = (m for m in zoo.models() if m.name == name)
    return {input: torch.from_numpy(array) for input, array in model.sample()[0].items()}


def profiled(data: bytes, name: str, batch: int) -> dict[str, Any]:
    """``describe`` of an engine that runs on the example of its network, and what a run takes without the profiler."""
    import torch

    engine = ingot.load(data)
    tensors = {input: tensor.cuda() for input, tensor in inputs_of(name, batch).items()}
    for info in engine.outputs:
        tensors[info.name] = torch.from_numpy(np.empty(info.shape, info.dtype)).cuda()
    context = bound_context(engine, tensors, wait="poll")
    run_us(context, RUNS)
    run, _ = run_us(context, 10 * RUNS)
    stream = torch.cuda.current_stream().cuda_stream
    return describe(engine.inspect(), events_of(lambda: context.enqueue(stream)), RUNS) | {"run": run}


def events_of(call: Callable[[], object]) -> list[Event]:
    """What the device did in ``RUNS`` calls, in the order of time."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    for _ in range(3):
        call()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as taken:
        for _ in range(RUNS):
            call()
        torch.cuda.synchronize()
    on_device = [e for e in taken.events() if str(e.device_type).endswith("CUDA")]
    return sorted((e.time_range.start, e.time_range.end, e.name) for e in on_device)


def describe(content: dict[str, Any], events: Sequence[Event], runs: int) -> dict[str, Any]:
    """Medians over the runs of an engine that ``content`` (``Engine.inspect``) describes, the first two left out.

    A kernel may start before the one ends that it waits for, so its time is that from the end of those before it. It
    belongs to the step with its entry; those of several steps with one entry, which may run in any order
    when no edge is between them, are taken in the order of the file.
    """
    count, left = divmod(len(events), runs)
    if left:
        raise ValueError(f"{len(events)} events in {runs} runs")
    steps = content["programs"][0]["steps"]
    numbers = defaultdict(list)
    for i, step in enumerate(steps):
        numbers[step["launch"]["entry"]].append(i)
    lasting, gaps, starts = defaultdict(list), defaultdict(list), defaultdict(list)
    spans, sums, between = [], [], []
    for r in range(2, runs):
        run = events[r * count : (r + 1) * count]
        left_over, before = {entry: iter(found) for entry, found in numbers.items()}, None
        kernels = [event for event in run if event[2] in numbers]
        for begin, end, entry in kernels:
            i = next(left_over[entry])
            before = begin if before is None else before
            starts[i].append(begin - run[0][0])
            lasting[i].append(max(end - max(begin, before), 0.0))
            gaps[i].append(max(begin - before, 0.0))
            before = max(before, end)
        spans.append(max(end for _, end, _ in run) - run[0][0])
        sums.append(sum(lasting[i][-1] for i in lasting))
        between.append(sum(gaps[i][-1] for i in gaps))
    silent = [step["launch"]["entry"] for i, step in enumerate(steps) if not lasting[i]]
    if silent:
        raise ValueError(f"no event of {', '.join(silent)}")
    rows = [
        {
            "nodes": step["name"],
            "kernel": step["kernel"],
            "entry": step["launch"]["entry"],
            "grid": step["launch"]["grid"],
            "operands": [f"{o['dtype']}{o['shape']}" if o else "-" for o in [*step["inputs"], *step["outputs"]]],
            "at": statistics.median(starts[i]),
            "us": statistics.median(lasting[i]),
            "gap": statistics.median(gaps[i]),
            "predicted": step["predicted_ns"] / 1e3,
        }
        for i, step in enumerate(steps)
    ]
    return {
        "span": statistics.median(spans),
        "kernels": statistics.median(sums),
        "gaps": statistics.median(between),
        "predicted": content["metadata"]["predicted"]["ns"] / 1e3,
        "ratio": [row["predicted"] / (row["us"] + row["gap"]) if row["us"] + row["gap"] else None for row in rows],
        "steps": rows,
    }


def print_steps(row: dict[str, Any]) -> None:
    say(
        f"{row['network']} batch {row['batch']} {row['precision']}: {row['span']:.1f} us, of which kernels "
        f"{row['kernels']:.1f} and gaps {row['gaps']:.1f}; a run {row['run']:.1f}, predicted {row['predicted']:.1f}; "
        f"predicted / measured of a step: {spread([ratio for ratio in row['ratio'] if ratio])}"
    )
    for step in row["steps"]:
        say(
            f"{step['us']:8.2f} gap {step['gap']:5.2f} predicted {step['predicted']:7.2f} at {step['at']:7.1f}  "
            f"{step['entry']}  {step['nodes'][:60]}"
        )


def by_kernel(rows: Rows) -> dict[str, list[float]]:
    """Predicted over measured of all steps, by kernel, and of networks; those that failed left out."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for step, ratio in zip(row.get("steps", []), row.get("ratio", [])):
            if ratio is not None:
                found[step["kernel"]].append(ratio)
                found["all steps"].append(ratio)
        if "run" in row:
            found["whole networks"].append(row["predicted"] / row["run"])
    return dict(sorted(found.items()))


def spread(ratios: Sequence[float]) -> str:
    """The median, and the tenth and the ninetieth hundredth."""
    ordered = sorted(ratios)
    tenth = len(ordered) // 10
    return f"{statistics.median(ordered):.2f} ({ordered[tenth]:.2f} to {ordered[-1 - tenth]:.2f}) of {len(ordered)}"
