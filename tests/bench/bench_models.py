"""Latency of whole models beside onnxruntime, interleaved in one run: ``python tests/bench/bench_models.py``.

Every round measures each runner once for a slice of time, in turn, so that all see the same disturbances; the ratio of
the medians is what counts. A ratio above 1 means that Ingot is faster. In INT8 onnxruntime runs the QDQ form that is
its fastest, quantised by its own tools; both calibrate on the sample that is then measured.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))
from peers import Inputs, constants_fixed, quantised, session_call
from resnets import STAGES, resnet
from zoo import float_models

Medians = dict[str, float]


@dataclass(frozen=True)
class Case:
    """A float model and one set of inputs, both made when they are asked for."""

    name: str
    model: Callable[[], onnx.ModelProto]
    inputs: Callable[[], Inputs]


@dataclass(frozen=True)
class Column:
    """A number of a row, of the medians by runner, in milliseconds; None where a runner is missing."""

    title: str
    precision: str
    of: Callable[[Medians], float | None]
    mean: bool = False
    """Whether the geometric mean over all models says something."""


def fastest(medians: Medians, prefix: str) -> float | None:
    """The least median of the runners whose names begin so."""
    return min((ms for name, ms in medians.items() if name.startswith(prefix)), default=None)


def ratio(peer: str, own: str) -> Callable[[Medians], float | None]:
    """How many times faster ``own`` is."""

    def of(medians: Medians) -> float | None:
        slow, fast = fastest(medians, peer), fastest(medians, own)
        return None if slow is None or fast is None else slow / fast

    return of


COLUMNS = (
    Column("onnxruntime fp32", "fp32", lambda m: fastest(m, "onnxruntime fp32")),
    Column("Ingot fp32", "fp32", lambda m: fastest(m, "ingot fp32")),
    Column("ratio", "fp32", ratio("onnxruntime fp32", "ingot fp32"), mean=True),
    Column("onnxruntime int8", "int8", lambda m: fastest(m, "onnxruntime int8")),
    Column("Ingot int8", "int8", lambda m: fastest(m, "ingot int8")),
    Column("ratio", "int8", ratio("onnxruntime int8", "ingot int8"), mean=True),
    Column("int8 over fp32", "int8", ratio("ingot fp32", "ingot int8"), mean=True),
)


def cases() -> Iterator[Case]:
    """The float models of ``../shared/models`` and two large residual networks with random weights."""
    for found in float_models():
        yield Case(found.name, lambda found=found: onnx.load(found.path), lambda found=found: found.sample()[0])
    image = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    for depth in STAGES:
        yield Case(f"resnet{depth}_random", lambda depth=depth: resnet(depth), lambda: {"image": image})


def timed(call: Callable[[], object], seconds: float, samples: list[float]) -> None:
    """Call again and again for about ``seconds``, at least twice, and note how long each call took, in seconds."""
    end = time.perf_counter() + seconds
    count = 0
    while count < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
        count += 1


def runners(case: Case, precision: str, threads: int) -> dict[str, Callable[[], object]]:
    """One call per runner, inputs bound or held ready. INT8 always stands beside our own FP32."""
    model, inputs = constants_fixed(case.model()), case.inputs()
    calls = {}
    if precision != "int8":
        calls["onnxruntime fp32"] = session_call(model, inputs, threads)
    if precision != "fp32":
        for form, quantised_model in quantised(model, inputs).items():
            calls[f"onnxruntime int8 {form}"] = session_call(quantised_model, inputs, threads)
    shapes = [{n: a.shape for n, a in inputs.items()}]
    for own in ("fp32", "int8") if precision != "fp32" else ("fp32",):
        options = {"precision": own, "calibration": [inputs]} if own == "int8" else {}
        engine = ingot.build(model, profiles=shapes, self_test=False, **options)
        # Workers that spin between runs would take the other runtime's cores.
        context = engine.context(threads=threads, wait="block")
        for name, array in inputs.items():
            context.inputs[name][...] = array
        calls[f"ingot {own}"] = context.run
    return calls


def measure(calls: dict[str, Callable[[], object]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Latencies in milliseconds by runner."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        timed(call, seconds / 2, [])
    for _ in range(rounds):
        for name, call in calls.items():
            timed(call, seconds, samples[name])
    return {name: [1e3 * taken for taken in some] for name, some in samples.items()}


def statistics(taken: list[float]) -> dict[str, float]:
    return {"p50": float(np.median(taken)), "p99": float(np.percentile(taken, 99)), "max": max(taken)}


def line(name: str, columns: list[Column], values: list[float | None]) -> str:
    """A row of the table as docs/benchmarks.md has it."""
    shown = ["-" if v is None else f"{v:.2f}" if c.mean else f"{v:.4f}" for c, v in zip(columns, values)]
    return f"| {name} | " + " | ".join(shown) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="*", help="pattern of names, e.g. 'resnet*'; all when absent")
    parser.add_argument("--precision", choices=("fp32", "int8", "all"), default="all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15, help="slice of each runner in a round")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    chosen = [case for case in cases() if fnmatch.fnmatch(case.name, args.model)]
    if not chosen:
        print(f"no model is called {args.model}; for those of ../shared/models set INGOT_SHARED", file=sys.stderr)
        return 1
    columns = [c for c in COLUMNS if args.precision in (c.precision, "all")]
    if not args.json:
        print("| model | " + " | ".join(c.title for c in columns) + " |\n|" + " --- |" * (1 + len(columns)))
    latencies, rows = {}, []
    for case in chosen:
        taken = measure(runners(case, args.precision, args.threads), args.rounds, args.seconds)
        latencies[case.name] = {name: statistics(some) for name, some in taken.items()}
        medians = {name: s["p50"] for name, s in latencies[case.name].items()}
        rows.append([c.of(medians) for c in columns])
        if not args.json:
            print(line(case.name, columns, rows[-1]), flush=True)
    means = [
        float(np.exp(np.mean(np.log([v for v in values if v is not None])))) if c.mean and any(values) else None
        for c, values in zip(columns, zip(*rows))
    ]
    if args.json:
        named = {f"{c.title} {c.precision}": v for c, v in zip(columns, means) if c.mean}
        print(json.dumps({"threads": args.threads, "models": latencies, "geometric_mean": named}))
    else:
        print(line("geometric mean", columns, means))
    return 0


if __name__ == "__main__":
    sys.exit(main())
