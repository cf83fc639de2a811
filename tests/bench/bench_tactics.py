"""What tuning is worth: every model built by the defaults and twice tuned: ``python tests/bench/bench_tactics.py``.

The three engines of a model are measured in turns, at several places in memory, five times over; a ratio is the median
of the five. ``tuned`` is how many times as fast as the defaults the slower of the two tunings is, ``apart`` by how
many percent of their time the two differ. A tuning starts from an empty cache each time.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import ingot
from ingot.builder.tuning import local

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))
from bench_models import Case, cases

MEASUREMENTS, TUNINGS = 5, 2


@dataclass(frozen=True)
class Row:
    """Milliseconds of a run; seconds that a tuning took. ``changed``: the steps that have not their default tactic."""

    model: str
    precision: str
    default: float
    tuned: float
    ratio: float
    apart: float
    seconds: float
    changed: int

    def text(self) -> str:
        return (
            f"| {self.model} | {self.precision} | {self.default:.4f} | {self.tuned:.4f} | {self.ratio:.3f} | "
            f"{self.apart:.1f} | {self.changed} | {self.seconds:.0f} |"
        )


TITLES = "| model | precision | default ms | tuned ms | ratio | apart % | steps changed | seconds |\n|" + " --- |" * 8


def row(case: Case, precision: str, target: str, threads: int, effort: int) -> Row:
    """Build, tune and compare one model."""
    model, inputs = case.model(), case.inputs()
    shapes = [{name: array.shape for name, array in inputs.items()}]
    options = {"target": target, "precision": precision, "profiles": shapes, "self_test": False, "threads": threads}
    reports, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        if precision == "int8":
            options |= {"calibration": [inputs], "calibration_cache": Path(folder, "ranges")}
        engines = [ingot.build(model, **options)]
        for number in range(TUNINGS):
            start = time.perf_counter()
            cache = Path(folder, f"{number}.timings")
            engines.append(
                ingot.build(model, tune=True, effort=effort, timing_cache=cache, tuned=reports.append, **options)
            )
            seconds.append(time.perf_counter() - start)
        files = []
        for number, engine in enumerate(engines):
            engine.save(Path(folder, f"{number}.ingot"))
            files.append(Path(folder, f"{number}.ingot").read_bytes())
    taken = [local.Local().programs(files, threads) for _ in range(MEASUREMENTS)]
    medians = np.array([[timing.median_ns for timing in one] for one in taken]) / 1e6
    ratio = min(statistics.median(medians[:, 0] / medians[:, t]) for t in range(1, 1 + TUNINGS))
    apart = 100 * abs(statistics.median(medians[:, 1] / medians[:, 2]) - 1)
    changed = max(sum(c.option is not c.default for c in report.plan.choices) for report in reports)
    default, tuned = float(np.median(medians[:, 0])), float(np.median(medians[:, 1:]))
    return Row(case.name, precision, default, tuned, float(ratio), float(apart), max(seconds), changed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="*", help="pattern of names, e.g. 'resnet*'; all when absent")
    parser.add_argument("--precision", choices=("fp32", "int8", "all"), default="all")
    parser.add_argument("--target", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--effort", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="at most, of each of the five measurements")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    local.SECONDS = args.seconds
    chosen = [case for case in cases() if fnmatch.fnmatch(case.name, args.model)]
    if not chosen:
        print(f"no model is called {args.model}; for those of ../shared/models set INGOT_SHARED", file=sys.stderr)
        return 1
    rows = []
    if not args.json:
        print(TITLES)
    for precision in ("fp32", "int8") if args.precision == "all" else (args.precision,):
        for case in chosen:
            rows.append(row(case, precision, args.target, args.threads, args.effort))
            if not args.json:
                print(rows[-1].text(), flush=True)
    means = {
        precision: statistics.geometric_mean(r.ratio for r in rows if r.precision == precision)
        for precision in dict.fromkeys(r.precision for r in rows)
    }
    worst = {"ratio": min(r.ratio for r in rows), "apart": max(r.apart for r in rows)}
    if args.json:
        print(json.dumps({"rows": [asdict(r) for r in rows], "geometric_mean": means, "worst": worst}))
    else:
        print(*(f"geometric mean of the ratios, {name}: {mean:.3f}" for name, mean in means.items()), sep="\n")
        print(f"lowest ratio {worst['ratio']:.3f}, tunings at most {worst['apart']:.1f} % apart")
    return 0


if __name__ == "__main__":
    sys.exit(main())
