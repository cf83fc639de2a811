"""Latency of whole models beside other runtimes, interleaved in one run: ``python tests/bench/bench_models.py``.

Every round measures each runner once for a slice of time, in turn, so that all see the same disturbances; ratios of
medians are what counts, and one above 1 means that Ingot is faster than the best of the others. Peers are those that
are installed (``tests/bench/peers``), each in the precision said; in INT8 all calibrate on the sample that is then
measured. ``share`` is operations over time over what the machine's cores can do at most in that precision.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
from ceilings import ceiling, operations
from peers import CannotError, Inputs, Peer, peers

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))
from zoo import float_models

HERE = Path(__file__).resolve().parent
PRECISIONS = ("fp32", "bf16", "int8")


@dataclass(frozen=True)
class Case:
    """A float model and one set of inputs, both made when they are asked for."""

    name: str
    model: Callable[[], onnx.ModelProto]
    inputs: Callable[[], Inputs]


def cases() -> Iterator[Case]:
    """The float models of ``../shared/models`` and the networks of networks.py."""
    for found in float_models():
        yield Case(found.name, lambda found=found: onnx.load(found.path), lambda found=found: found.sample()[0])
    for name in networks.NETWORKS:
        yield Case(name, lambda name=name: networks.model(name), lambda name=name: networks.sample(name))


@dataclass(frozen=True)
class Row:
    """Latencies in milliseconds by runner, ``ingot`` among them, and the share of the ceiling that Ingot reaches."""

    model: str
    precision: str
    threads: int
    taken: dict[str, dict[str, float]]
    share: float | None

    @property
    def best_peer(self) -> tuple[str, float] | None:
        """Name and median of the fastest of the others."""
        others = {name: t["p50"] for name, t in self.taken.items() if name != "ingot"}
        return min(others.items(), key=lambda item: item[1]) if others else None

    @property
    def ratio(self) -> float | None:
        return self.best_peer[1] / self.taken["ingot"]["p50"] if self.best_peer else None


def timed(call: Callable[[], object], seconds: float, samples: list[float]) -> None:
    """Call again and again for about ``seconds``, at least twice, and note how long each call took, in seconds."""
    end = time.perf_counter() + seconds
    count = 0
    while count < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
        count += 1


def own_call(
    model: onnx.ModelProto, inputs: Inputs, precision: str, threads: int, tuning: dict[str, Any]
) -> Callable[[], object]:
    """Ingot, inputs held in place."""
    options: dict[str, Any] = {"calibration": [inputs]} if precision == "int8" else {}
    if precision == "bf16":
        options["max_error"] = 1.0  # the others keep nothing in FP32 either
    shapes = [{n: a.shape for n, a in inputs.items()}]
    engine = ingot.build(
        model, profiles=shapes, precision=precision, threads=threads, self_test=False, **tuning, **options
    )
    # Workers that spin between runs would take the other runtimes' cores.
    context = engine.context(threads=threads, wait="block")
    for name, array in inputs.items():
        context.inputs[name][...] = array
    return context.run


def peer_forms(case: Case, precision: str, only: str, folder: Path) -> list[tuple[Peer, str, Path]]:
    """Each peer's forms of the model by name, as files; what a peer cannot do is said on stderr. What is in the folder
    from an earlier run is not made again."""
    found: list[tuple[Peer, str, Path]] = []
    for peer in peers().values():
        if precision not in peer.precisions or not fnmatch.fnmatch(peer.name, only):
            continue
        own = folder / peer.name
        names = own / "forms.json"
        if not names.exists():
            own.mkdir(parents=True, exist_ok=True)
            made = working_forms(case, precision, peer, own)
            names.write_text(json.dumps({form: str(path.relative_to(own)) for form, path in made.items()}))
        found += [(peer, form, own / path) for form, path in json.loads(names.read_text()).items()]
    return found


def working_forms(case: Case, precision: str, peer: Peer, folder: Path) -> dict[str, Path]:
    """Those of a peer that it can run."""
    made: dict[str, Path] = {}
    np.savez(folder / "inputs.npz", **case.inputs())
    with saying(case, precision, peer):
        for form, path in peer.forms(case.model(), case.inputs(), precision, folder).items():
            with saying(case, precision, peer):
                try_out(peer, path, folder / "inputs.npz", precision)
                made[form] = path
    return made


def try_out(peer: Peer, path: Path, inputs: Path, precision: str) -> None:
    """Once in a process of its own: a runtime that dies of a model must not take the others along."""
    command = [sys.executable, str(HERE / "footprint.py"), "--one", peer.name, str(path), str(inputs), precision]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode < 0:
        raise CannotError(f"killed by {signal.Signals(-done.returncode).name} with {path.name}")
    if done.returncode:
        raise CannotError(done.stderr.strip().rpartition("\n")[2])


def peer_calls(
    case: Case, precision: str, threads: int, forms: Iterable[tuple[Peer, str, Path]]
) -> dict[str, Callable[[], object]]:
    """A call for each peer and form that runs."""
    calls: dict[str, Callable[[], object]] = {}
    for peer, form, path in forms:
        with saying(case, precision, peer):
            calls[f"{peer.name} {form}".strip()] = peer.load(path, case.inputs(), precision, threads)
    return calls


@contextmanager
def saying(case: Case, precision: str, peer: Peer) -> Iterator[None]:
    """Goes on when a peer fails, and says so."""
    try:
        yield
    except Exception as error:  # whatever the peer raises
        what = str(error) if isinstance(error, CannotError) else repr(error)
        print(f"{case.name} {precision}: {peer.name} cannot: {what[:300]}", file=sys.stderr)


def measure(calls: dict[str, Callable[[], object]], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Latencies in milliseconds by runner."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        timed(call, seconds / 2, [])
    for _ in range(rounds):
        for name, call in calls.items():
            timed(call, seconds, samples[name])
    return {
        name: {
            "p50": 1e3 * float(np.median(some)),
            "p99": 1e3 * float(np.percentile(some, 99)),
            "max": 1e3 * max(some),
        }
        for name, some in samples.items()
    }


def rows_of(case: Case, precision: str, args: argparse.Namespace) -> Iterator[Row]:
    """A row for each number of threads; peers' files are made once."""
    with tempfile.TemporaryDirectory() as folder:
        kept = args.forms / case.name / precision if args.forms else Path(folder)
        forms = peer_forms(case, precision, args.peer, kept)
        ops = operations(case.model(), case.inputs())
        tuning = {"tune": args.tune, "timing_cache": args.timings}
        for threads in args.threads or (1, 2):
            calls = peer_calls(case, precision, threads, forms)
            calls["ingot"] = own_call(case.model(), case.inputs(), precision, threads, tuning)
            taken = measure(calls, args.rounds, args.seconds)
            most = ceiling(precision) * threads
            share = ops / (1e6 * taken["ingot"]["p50"]) / most if most and ops else None
            yield Row(case.name, precision, threads, taken, share)


def title(names: list[str]) -> str:
    columns = ["model", *names, "Ingot", "p99", "max", "ratio to the best", "share of the ceiling"]
    return "| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns)


def line(row: Row, names: list[str]) -> str:
    """A row of the table as docs/benchmarks.md has it; of several forms of a peer the fastest."""
    cells = []
    for name in names:
        some = [t["p50"] for runner, t in row.taken.items() if runner.startswith(name)]
        cells.append(f"{min(some):.4f}" if some else "-")
    own = row.taken["ingot"]
    cells += [f"{own[key]:.4f}" for key in ("p50", "p99", "max")]
    cells.append("-" if row.ratio is None else f"{row.ratio:.2f}")
    cells.append("-" if row.share is None else f"{100 * row.share:.0f} %")
    return f"| {row.model} | " + " | ".join(cells) + " |"


def said(row: Row) -> str:
    best = "no peer" if row.best_peer is None else f"{row.best_peer[0]} {row.best_peer[1]:.4f} ms, {row.ratio:.2f}"
    return f"{row.model} {row.precision} {row.threads}: Ingot {row.taken['ingot']['p50']:.4f} ms, {best}"


def print_tables(rows: list[Row]) -> None:
    """One for each number of threads and precision, as docs/benchmarks.md has them."""
    for threads, precision in sorted({(row.threads, row.precision) for row in rows}, key=order):
        part = [row for row in rows if (row.threads, row.precision) == (threads, precision)]
        names = [peer.name for peer in peers().values() if precision in peer.precisions]
        print(f"\n### {precision.upper()}, {threads} thread{'s' * (threads > 1)}\n\n{title(names)}")
        print(*(line(row, names) for row in part), sep="\n")
        ratios = [row.ratio for row in part if row.ratio]
        if ratios:
            print(f"\nGeometric mean of ratios {statistics.geometric_mean(ratios):.3f}, lowest {min(ratios):.2f}.")


def order(table: tuple[int, str]) -> tuple[int, int]:
    return table[0], PRECISIONS.index(table[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="*", help="pattern of names, e.g. 'resnet*'; all when absent")
    parser.add_argument("--peer", default="*", help="pattern of names of peers")
    parser.add_argument("--precision", choices=PRECISIONS, action="append", help="may be given again; all when absent")
    parser.add_argument("--threads", type=int, action="append", help="may be given again; 1 and 2 when absent")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15, help="slice of each runner in a round")
    parser.add_argument("--tune", action=argparse.BooleanOptionalAction, default=True, help="tune Ingot's engines")
    parser.add_argument("--timings", type=Path, help="file of measured tactics: what it holds is not measured again")
    parser.add_argument("--forms", type=Path, help="folder that keeps what peers read, which takes long to make")
    parser.add_argument("--json", type=Path, help="keep all figures in this file")
    args = parser.parse_args()
    chosen = [case for case in cases() if fnmatch.fnmatch(case.name, args.model)]
    if not chosen:
        print(f"no model is called {args.model}; for those of ../shared/models set INGOT_SHARED", file=sys.stderr)
        return 1
    ceilings = {kind: ceiling(kind) for kind in (*PRECISIONS, "l2", "l3", "dram")}
    print("ceilings of one core, GFLOP/s, GOP/s and GB/s: " + ", ".join(f"{k} {v:.0f}" for k, v in ceilings.items()))
    rows: list[Row] = []
    for case in chosen:
        for precision in args.precision or PRECISIONS:
            for row in rows_of(case, precision, args):
                rows.append(row)
                print(said(row), file=sys.stderr, flush=True)
                if args.json:
                    found = [{**vars(row), "ratio": row.ratio} for row in rows]
                    args.json.write_text(json.dumps({"ceilings": ceilings, "rows": found}, indent=1))
    print_tables(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
