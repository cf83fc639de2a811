"""measure how long runs of an engine take

Times are of one call from Python each, about a microsecond of which is Python's own. Floats in the inputs are random,
integers zero.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path
from typing import Any

import numpy as np

import ingot
from ingot.cli.common import Progress, add_json, add_running, count, print_json, shorten, table, time_text
from ingot.cli.inputs import add_inputs, complete, read_inputs
from ingot.context import Context

EXAMPLE = "ingot bench model.ingot --threads 2 --profile-steps"
WAIT = "how workers wait for work, or a run for the device; poll is for CUDA alone (block)"
#: without --iterations: as many as take about this long, within these bounds
SECONDS, LEAST, MOST = 2.0, 20, 100_000
PROFILED_RUNS = 50
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("engine", type=Path, metavar="ENGINE")
    add_inputs(parser, "others are generated")
    add_running(parser)
    parser.add_argument("--iterations", type=count(1), metavar="N", help="runs to measure (about two seconds' worth)")
    parser.add_argument("--warmup", type=count(0), default=10, metavar="N", help="runs before that (10)")
    parser.add_argument("--wait", choices=["block", "spin", "poll"], default="block", help=WAIT)
    parser.add_argument("--profile-steps", action="store_true", help="also time every step of the program")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    engine = ingot.load(options.engine, isa=options.isa)
    inputs = complete(engine, read_inputs(engine, options.input))
    with engine.context(threads=options.threads, wait=options.wait) as context, Progress(ticks=False) as progress:
        context.run(inputs)
        for _ in range(options.warmup):
            context.run()
        iterations = options.iterations or _enough(context)
        times = measure(context, iterations, progress)
        steps = profile(context) if options.profile_steps else []
    figures = {key: float(np.percentile(times, p, method="higher")) for key, p in PERCENTILES.items()}
    figures["mean"] = float(times.mean())
    if options.json:
        result = {
            "engine": str(options.engine),
            "digest": engine.digest,
            "variant": engine.variant,
            "isa": engine.isa,
            "threads": options.threads,
            "wait": options.wait,
            "warmup": options.warmup,
            "iterations": iterations,
            "nanoseconds": figures,
        }
        print_json(result | ({"steps": steps} if options.profile_steps else {}))
        return 0
    plural = "s" if options.threads > 1 else ""
    print(f"{options.engine}: {engine.variant}, {engine.isa}, {options.threads} thread{plural}, {iterations} runs")
    print(table([[time_text(value) for value in figures.values()]], list(figures), right=range(len(figures))))
    if steps:
        total = sum(s["nanoseconds"] for s in steps) or 1
        rows = [
            [
                i,
                s["kernel"],
                time_text(s["nanoseconds"]),
                f"{100 * s['nanoseconds'] / total:.1f} %",
                shorten(s["name"], 70),
            ]
            for i, s in enumerate(steps)
        ]
        print(table(rows, ["#", "kernel", "median", "share", "step"], right=(0, 2, 3)))
    return 0


def _enough(context: Context) -> int:
    start, runs = time.perf_counter(), 0
    while time.perf_counter() - start < 0.05 or runs < 3:
        context.run()
        runs += 1
    each = (time.perf_counter() - start) / runs
    return min(max(int(SECONDS / each), LEAST), MOST)


def measure(context: Context, iterations: int, progress: Progress) -> np.ndarray:
    """Nanoseconds of each run."""
    times = np.empty(iterations, np.int64)
    clock, call = time.perf_counter_ns, context.run
    shown = 0
    collecting = gc.isenabled()
    gc.disable()
    try:
        for i in range(iterations):
            start = clock()
            call()
            times[i] = clock() - start
            if progress.shows and start >= shown:
                progress(f"run {i} of {iterations}")
                shown = clock() + 200_000_000
    finally:
        if collecting:
            gc.enable()
    return times


def profile(context: Context) -> list[dict[str, Any]]:
    """Every step with its median time over some runs."""
    runs = [context.profile() for _ in range(PROFILED_RUNS)]
    medians = np.median([[step.nanoseconds for step in run] for run in runs], axis=0)
    return [{"name": s.name, "kernel": s.kernel, "nanoseconds": float(t)} for s, t in zip(runs[0], medians)]
