"""What loading a model costs beside other runtimes: ``python tests/bench/footprint.py``.

Each runtime loads each model and runs it once in a process of its own, three times: *load* is the time from a file to
something that runs (the runtime's library loaded before), *resident* how much more of the process is in memory then
than before the runtime was imported. *Library* is what is installed of the runtime: its shared libraries.
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
from pathlib import Path

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


def again(runtime: str, path: Path, inputs: Path, precision: str) -> dict[str, float]:
    command = [sys.executable, str(HERE / "footprint.py"), "--one", runtime, str(path), str(inputs), precision]
    found = [json.loads(subprocess.check_output(command, text=True)) for _ in range(3)]
    return {key: statistics.median(each[key] for each in found) for key in found[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="*")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        runtime, path, inputs, precision = args.one
        print(json.dumps(one(runtime, Path(path), Path(inputs), precision)))
        return 0

    from bench_models import cases
    from peers import peers

    import ingot

    for runtime in ("ingot", *peers()):
        print(f"library {runtime}: {library_bytes(runtime) / 1e6:.2f} MB")
    print("\n| model | runtime | load, ms | resident, MB |\n| --- | --- | --- | --- |")
    for case in cases():
        if not fnmatch.fnmatch(case.name, args.model):
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            model, inputs = case.model(), case.inputs()
            np.savez(folder / "inputs.npz", **inputs)
            options = {"calibration": [inputs]} if args.precision == "int8" else {}
            shapes = [{n: a.shape for n, a in inputs.items()}]
            ingot.build(model, profiles=shapes, precision=args.precision, **options).save(folder / "model.ingot")
            found = {"ingot": again("ingot", folder / "model.ingot", folder / "inputs.npz", args.precision)}
            for peer in peers().values():
                if args.precision not in peer.precisions:
                    continue
                own = folder / peer.name
                own.mkdir()
                try:
                    path = next(iter(peer.forms(model, inputs, args.precision, own).values()))
                    found[peer.name] = again(peer.name, path, folder / "inputs.npz", args.precision)
                except Exception as error:  # whatever the peer raises
                    print(f"{case.name}: {peer.name} cannot: {error!r:.300}", file=sys.stderr)
            for runtime, each in found.items():
                figures = f"{1e3 * each['load']:.2f} | {each['resident'] / 1e6:.1f}"
                print(f"| {case.name} | {runtime} | {figures} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
