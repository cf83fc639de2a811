"""Latency of whole models beside onnxruntime, interleaved in one run: ``python tests/bench/bench_models.py``.

Every round measures each runtime once for a slice of time, in turn, so that both see the same disturbances; the ratio
of the medians is what counts. A ratio above 1 means that Ingot is faster.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))
from zoo import ZooModel, float_models


def timed(call: Callable[[], object], seconds: float, samples: list[float]) -> None:
    """Call again and again for about ``seconds``, at least twice, and note how long each call took, in seconds."""
    end = time.perf_counter() + seconds
    count = 0
    while count < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
        count += 1


def runners(model: ZooModel, threads: int) -> dict[str, Callable[[], object]]:
    """One call per runtime, inputs bound or held ready."""
    inputs, _ = model.sample()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # its warnings about initialisers that are inputs are not ours
    session = onnxruntime.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
    engine = ingot.build(model.path, profiles=[{n: a.shape for n, a in inputs.items()}], self_test=False)
    # Workers that spin between runs would take the other runtime's cores.
    context = engine.context(threads=threads, wait="block")
    for name, array in inputs.items():
        context.inputs[name][...] = array
    return {"onnxruntime": lambda: session.run(None, inputs), "ingot": context.run}


def measure(model: ZooModel, threads: int, rounds: int, seconds: float) -> dict[str, float]:
    """Median, p99 and max in milliseconds for each runtime, and the ratio of medians."""
    calls = runners(model, threads)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        timed(call, seconds / 2, [])
    for _ in range(rounds):
        for name, call in calls.items():
            timed(call, seconds, samples[name])
    row: dict[str, float] = {}
    for name, taken in samples.items():
        ms = np.asarray(taken) * 1e3
        row |= {
            f"{name}_p50": float(np.median(ms)),
            f"{name}_p99": float(np.percentile(ms, 99)),
            f"{name}_max": ms.max(),
        }
    row["ratio"] = row["onnxruntime_p50"] / row["ingot_p50"]
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="names; all float models when none is given")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15, help="slice of each runtime in a round")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    models = [m for m in float_models() if not args.models or m.name in args.models]
    if not models:
        print("no models: ../shared/models is not there (set INGOT_SHARED)", file=sys.stderr)
        return 1
    rows = {}
    if not args.json:
        print(f"{'model':28s} {'onnxruntime':>12s} {'ingot p50':>10s} {'p99':>8s} {'max':>8s} {'ratio':>7s}   (ms)")
    for model in models:
        row = rows[model.name] = measure(model, args.threads, args.rounds, args.seconds)
        if not args.json:
            print(
                f"{model.name:28s} {row['onnxruntime_p50']:12.4f} {row['ingot_p50']:10.4f} {row['ingot_p99']:8.4f} "
                f"{row['ingot_max']:8.3f} {row['ratio']:7.2f}",
                flush=True,
            )
    mean = float(np.exp(np.mean([np.log(row["ratio"]) for row in rows.values()])))
    if args.json:
        print(json.dumps({"threads": args.threads, "models": rows, "geometric_mean": mean}))
    else:
        print(f"{'geometric mean':28s} {'':12s} {'':10s} {'':8s} {'':8s} {mean:7.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
