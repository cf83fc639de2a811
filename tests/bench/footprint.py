"""What loading a model costs beside other runtimes: ``python tests/bench/footprint.py``.

Each runtime loads each model and runs it once in a process of its own, in turn with the others and several times over:
*load* is the time from a file to something that runs (the runtime's library loaded before), *resident* how much more of
the process is in memory then than before the runtime was imported; medians. Ingot is measured from Python, as the
others are, and from C (``ingot-bench``). *Library* is what is installed of the runtime: its shared libraries.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
LIBRARIES = {"onnxruntime": "onnxruntime", "OpenVINO": "openvino", "ncnn": "ncnn", "LiteRT": "ai_edge_litert"}


def resident_bytes() -> int:
    fields = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(fields["VmRSS"].split()[0])


def one(runtime: str, path: Path, inputs: Path, precision: str) -> dict[str, float]:
    """In a process of its own: seconds to load, bytes that became resident."""
    arrays = dict(np.load(inputs))
    before = resident_bytes()
    if runtime == "ingot":
        import ingot

        start = time.perf_counter()
        context = ingot.load(path).context()
        seconds = time.perf_counter() - start
        context.run(arrays)
    else:
        from peers import peers

        peer = peers()[runtime]
        for module in peer.modules[:1]:
            importlib.import_module(module)
        start = time.perf_counter()
        call = peer.load(path, arrays, precision, 1)
        seconds = time.perf_counter() - start
        call()
    return {"load": seconds, "resident": resident_bytes() - before}


def library_bytes(runtime: str) -> int:
    """Shared libraries of the installed package; of Ingot the library itself, stripped."""
    if runtime == "ingot":
        import ingot

        found = [p for p in Path(ingot.__file__).parent.rglob("libingot.so*") if not p.is_symlink()]
        return max((p.stat().st_size for p in found), default=0)
    folder = Path(importlib.util.find_spec(LIBRARIES[runtime]).origin).parent
    return sum(p.stat().st_size for p in folder.rglob("*.so*") if not p.is_symlink())


def in_process(runtime: str, path: Path, inputs: Path, precision: str) -> dict[str, float]:
    """What :func:`one` finds in a new process."""
    command = [sys.executable, str(HERE / "footprint.py"), "--one", runtime, str(path), str(inputs), precision]
    return json.loads(subprocess.check_output(command, text=True))


def loaded_from_c(program: Path, path: Path) -> dict[str, float]:
    """Seconds in which a C program, which :mod:`from_c` has compiled, loads an engine."""
    from from_c import measured

    return {"load": 1e-6 * measured(program, path, 1)[0]}


def medians(measure: dict[str, Callable[[], dict[str, float]]], rounds: int) -> dict[str, dict[str, float]]:
    """Of so many measurements of each runtime, one after the other; what cannot be measured is said and left out."""
    found: dict[str, list[dict[str, float]]] = {runtime: [] for runtime in measure}
    for _ in range(rounds):
        for runtime in list(found):
            try:
                found[runtime].append(measure[runtime]())
            except (subprocess.CalledProcessError, json.JSONDecodeError) as error:
                print(f"{runtime} cannot: {error!r:.300}", file=sys.stderr)
                del found[runtime]
    return {
        runtime: {key: statistics.median(each[key] for each in times) for key in times[0]}
        for runtime, times in found.items()
    }


def measured_case(case: Any, precision: str, rounds: int, program: Path) -> dict[str, dict[str, float]]:
    """What each runtime that can run the model needs; ``program`` loads engines from C."""
    from peers import peers

    import ingot

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, inputs = case.model(), case.inputs()
        engine, sample = folder / "model.ingot", folder / "inputs.npz"
        np.savez(sample, **inputs)
        options = {"calibration": [inputs]} if precision == "int8" else {}
        shapes = [{n: a.shape for n, a in inputs.items()}]
        ingot.build(model, profiles=shapes, precision=precision, **options).save(engine)
        measure: dict[str, Callable[[], dict[str, float]]] = {
            "ingot": partial(in_process, "ingot", engine, sample, precision),
            "ingot from C": partial(loaded_from_c, program, engine),
        }
        for peer in peers().values():
            if precision not in peer.precisions:
                continue
            own = folder / peer.name
            own.mkdir()
            try:
                path = next(iter(peer.forms(model, inputs, precision, own).values()))
            except Exception as error:  # whatever the peer raises
                print(f"{case.name}: {peer.name} cannot: {error!r:.300}", file=sys.stderr)
                continue
            measure[peer.name] = partial(in_process, peer.name, path, sample, precision)
        return medians(measure, rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="*")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32")
    parser.add_argument("--rounds", type=int, default=9, help="processes of each runtime")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        runtime, path, inputs, precision = args.one
        print(json.dumps(one(runtime, Path(path), Path(inputs), precision)))
        return 0

    from bench_models import cases
    from from_c import compiled
    from peers import peers

    for runtime in ("ingot", *peers()):
        print(f"library {runtime}: {library_bytes(runtime) / 1e6:.2f} MB")
    print("\n| model | runtime | load, ms | resident, MB |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as tools:
        program = compiled(Path(tools))
        for case in cases():
            if not fnmatch.fnmatch(case.name, args.model):
                continue
            for runtime, each in measured_case(case, args.precision, args.rounds, program).items():
                resident = f"{each['resident'] / 1e6:.1f}" if "resident" in each else "-"
                print(f"| {case.name} | {runtime} | {1e3 * each['load']:.3f} | {resident} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
