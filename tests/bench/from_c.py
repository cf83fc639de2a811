"""Runs of small networks from C, one thread: ``python tests/bench/from_c.py``.

Builds ``runtime_c/tools/ingot-bench.c`` against the installed library and lets it run each engine many times, in turn
with the others and several times over: the least of the medians is what the machine does when nobody disturbs it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import networks

import ingot

TOOL = Path(__file__).resolve().parents[2] / "runtime_c" / "tools" / "ingot-bench.c"
NAMES = ("policy_random", "lstm_random", "gru_random")
PRECISIONS = ("fp32", "bf16", "int8")


def compiled(folder: Path) -> Path:
    """The C program, linked with the library of the package."""
    library = next(p for part in ingot.__path__ for p in sorted(Path(part, "lib").glob("libingot.so*")))
    headers = library.parent.parent / "include"
    program = folder / "ingot-bench"
    rest = ["-std=c11", f"-I{headers}", library, f"-Wl,-rpath,{library.parent}", "-o", program]
    subprocess.run(["cc", "-O2", TOOL, *rest], check=True)
    return program


def engine(name: str, precision: str, folder: Path) -> Path:
    """The network as an engine file of that precision."""
    path = folder / f"{name}.{precision}.ingot"
    options = {"calibration": [networks.sample(name)]} if precision == "int8" else {}
    ingot.build(networks.model(name), precision=precision, **options).save(path)
    return path


def measured(program: Path, path: Path, runs: int) -> tuple[float, float]:
    """Loading, and the median of so many runs, the clock around each: both in microseconds."""
    printed = subprocess.check_output([program, path, "1", str(runs)], text=True)
    load, run = re.match(r"load ([\d.]+) us; p50 ([\d.]+) us", printed).groups()
    return float(load), float(run)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3000, help="runs of a median")
    parser.add_argument("--rounds", type=int, default=20, help="medians of an engine")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        program = compiled(folder)
        engines = {(name, precision): engine(name, precision, folder) for name in NAMES for precision in PRECISIONS}
        found = {key: [] for key in engines}
        for _ in range(args.rounds):
            for key, path in engines.items():
                found[key].append(measured(program, path, args.runs)[1])
    print(f"| network, us | {' | '.join(PRECISIONS)} |\n| --- |{' --- |' * len(PRECISIONS)}")
    for name in NAMES:
        print(f"| {name} | {' | '.join(f'{min(found[name, precision]):.2f}' for precision in PRECISIONS)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
