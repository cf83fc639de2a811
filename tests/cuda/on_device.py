"""What a real GPU has to show: ``python tests/cuda/on_device.py --target h200 samples models runs speed gemm``.

Needs a device of the target, NVRTC, and for ``speed`` and ``gemm`` PyTorch. Prints a table for each part and ends with
status 1 when something is wrong; ``--json FILE`` keeps all figures. docs/cuda.md has those that were taken.

- ``samples``: every sample of every operator by every CUDA tactic, beside the portable kernel of the CPU
- ``models``: the models of ``../shared`` (or ``INGOT_SHARED``) in FP32, FP16 and INT8 beside the reference and the CPU
- ``runs``: many runs of one engine of each kind: the same bits, the same device memory
- ``speed``: the networks of tests/bench/torch_models.py beside PyTorch
- ``compiled``: the same, beside PyTorch's compiler as well, which takes minutes
- ``gemm``: large matrix products beside the vendor's library
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import ingot
from ingot import targets
from ingot._kernel import kernels
from ingot.builder import _variant, lower
from ingot.builder.cuda.link import link
from ingot.builder.ir import Graph, Node
from ingot.builder.writer import write_engine
from ingot.kernels.spec import Tactic
from ingot.targets import Target

HERE = Path(__file__).resolve().parent
sys.path.extend(str(HERE.parent / folder) for folder in ("cuda", "kernels", "models", "bench", "emulator"))

Rows = list[dict[str, Any]]


def say(*words: object) -> None:
    print(*words, flush=True)


# -- samples ----------------------------------------------------------------------------------------------------------


def program_of(node: Node, tactic: Tactic, target: Target) -> Any:
    """A program of that one step."""
    node.tactic = tactic
    inputs = list(dict.fromkeys(v for v in node.inputs if v is not None and not v.is_constant))
    graph = Graph(inputs, list(node.outputs), [node], "sample")
    graph.target = target
    return lower(graph, "sample", [f"out{i}" for i in range(len(node.outputs))])


def samples_part(target: Target, only: str) -> Rows:
    """One row a sample that is wrong; the last row counts."""
    import samples as cases
    from test_samples import assert_close, least_exact, portable_results, tactics_for

    programs, nodes = [], []
    for case in cases.CASES:
        spec, sample = case.values
        if only not in spec.name:
            continue
        for tactic in tactics_for(cases.make_node(spec, sample)[0], "cuda"):
            node, arrays = cases.make_node(spec, sample)
            inputs = {v.name: a for v, a in zip(node.inputs, arrays) if v is not None and not v.is_constant}
            try:
                programs.append(program_of(node, tactic, target))
            except Exception as error:
                say(f"{spec.name} {sample.name} {tactic.key}: {error}")
                continue
            nodes.append((spec, sample, tactic, inputs))
    start = time.perf_counter()
    link(programs, target, None, None)
    say(f"{len(programs)} programs compiled in {time.perf_counter() - start:.0f} s")
    abi = {k.name: (k.abi, k.params_size) for k in kernels().values()}
    rows: Rows = []
    for program, (spec, sample, tactic, inputs) in zip(programs, nodes):
        node, arrays = cases.make_node(spec, sample)
        wanted = portable_results(node, arrays)
        what = {"operator": spec.name, "sample": sample.name, "tactic": tactic.key}
        try:
            context = ingot.load(write_engine([_variant(target, program)], {}, abi)).context()
            for _ in range(2):
                for name, array in inputs.items():
                    context.inputs[name][...] = array
                for array in context.outputs.values():
                    array.view(np.uint8).fill(0xFF) if array.size and array.ndim else None
                context.run()
            got = [np.array(context.outputs[f"out{i}"]) for i in range(len(node.outputs))]
            for value, a, w in zip(node.outputs, got, wanted):
                if tactic.numerics == "exact":
                    assert a.tobytes() == w.tobytes(), "other bits than on the CPU"
                else:
                    assert_close(a, w, value.type.dtype, least_exact(node))
        except Exception as error:
            rows.append(what | {"wrong": str(error).strip().splitlines()[0] if str(error) else repr(error)})
            say("wrong:", rows[-1])
            if "DEVICE" in str(error) or "device" in str(error):
                traceback.print_exc()
    rows.append({"samples": len(programs), "wrong": len(rows)})
    say(rows[-1])
    return rows


# -- models -----------------------------------------------------------------------------------------------------------


def relative(got: np.ndarray, wanted: np.ndarray) -> float:
    """Norm of the difference over norm of the reference; of whole numbers the share that differs."""
    if wanted.dtype.kind != "f":
        return float(np.mean(got != wanted))
    norm = float(np.linalg.norm(wanted.astype(np.float64)))
    return float(np.linalg.norm(got.astype(np.float64) - wanted.astype(np.float64))) / (norm or 1.0)


def run_once(engine: ingot.Engine, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    context = engine.context()
    return {name: np.array(array) for name, array in context.run(inputs).items()}


BOUNDS = {"fp32": 1e-4, "fp16": 5e-3}


def models_part(target: Target, only: str) -> Rows:
    """A row a model and precision: error against the sample's outputs, INT8 also against our CPU."""
    from zoo import models

    rows: Rows = []
    for model in models():
        if only not in model.name:
            continue
        inputs, wanted = model.sample()
        shapes = [{name: array.shape for name, array in inputs.items()}]
        for precision in ("int8",) if model.quantised else ("fp32", "fp16", "int8"):
            row: dict[str, Any] = {"model": model.name, "precision": "arrives" if model.quantised else precision}
            try:
                with tempfile.TemporaryDirectory() as folder:
                    options: dict[str, Any] = {"precision": precision, "profiles": shapes}
                    if precision == "int8" and not model.quantised:
                        options |= {"calibration": [inputs], "calibration_cache": Path(folder, "ranges")}
                    start = time.perf_counter()
                    engine = ingot.build(str(model.path), target=target.name, **options)
                    row["build_s"] = round(time.perf_counter() - start, 1)
                    got = run_once(engine, inputs)
                    row["error"] = max(relative(got[name], wanted[name]) for name in wanted)
                    if precision == "int8":
                        cpu = ingot.build(str(model.path), target="cpu", self_test=False, **options)
                        here = run_once(cpu, inputs)
                        row["same_bits_as_cpu"] = all(got[n].tobytes() == here[n].tobytes() for n in got)
                        row["from_cpu"] = max(relative(got[n], here[n]) for n in got)
                    else:
                        row["ok"] = row["error"] <= BOUNDS[precision]
                    engine.self_test()
                    row["self_test"] = True
            except Exception as error:
                row["failed"] = str(error).strip().splitlines()[0]
            rows.append(row)
            say(row)
    return rows


# -- many runs --------------------------------------------------------------------------------------------------------


def runs_part(target: Target, only: str, runs: int = 100_000) -> Rows:
    """A row an engine: whether every run gave the bits of the first, and the device memory in use before and after."""
    import torch
    from zoo import models

    rows: Rows = []
    kinds = {"mnist_cnn": "int8", "kws_dscnn_fp32": "fp16", "rl_g1_mjx": "fp32", "dtln_stage1_lstm": "fp16"}
    for model in models():
        if model.name not in kinds or only not in model.name:
            continue
        inputs, _ = model.sample()
        options: dict[str, Any] = {
            "precision": kinds[model.name],
            "profiles": [{n: a.shape for n, a in inputs.items()}],
        }
        if options["precision"] == "int8":
            options["calibration"] = [inputs]
        context = ingot.build(str(model.path), target=target.name, **options).context()
        for name, array in inputs.items():
            context.inputs[name][...] = array
        context.run()
        first = {n: a.tobytes() for n, a in context.outputs.items()}
        before = torch.cuda.mem_get_info()[0]
        different, start = 0, time.perf_counter()
        for _ in range(runs):
            context.run()
            different += any(a.tobytes() != first[n] for n, a in context.outputs.items())
        row = {
            "model": model.name,
            "precision": kinds[model.name],
            "runs": runs,
            "different": different,
            "us_a_run": round(1e6 * (time.perf_counter() - start) / runs, 1),
            "device_bytes_more": before - torch.cuda.mem_get_info()[0],
        }
        rows.append(row)
        say(row)
    return rows


# -- speed ------------------------------------------------------------------------------------------------------------


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


def bound_call(engine: ingot.Engine, tensors: dict[str, Any]) -> Callable[[], object]:
    """A run on PyTorch's stream with tensors of the device as inputs and outputs."""
    import torch

    context = engine.context()
    for name, tensor in tensors.items():
        context.bind(name, tensor)
    stream = torch.cuda.current_stream().cuda_stream
    return lambda: context.enqueue(stream)


def speed_part(target: Target, only: str, compiled: bool = False) -> Rows:
    """A row a network and batch: microseconds of PyTorch and of ours, and how far outputs are apart."""
    import torch
    import torch_models

    rows: Rows = []
    for name, network in torch_models.NETWORKS.items():
        for batch in (1, 8):
            if only not in name:
                continue
            row: dict[str, Any] = {"network": name, "batch": batch}
            try:
                x = torch_models.example(name, batch).cuda()
                half = torch_models.module(name).cuda().half()
                if network.convolutional:
                    half = half.to(memory_format=torch.channels_last)
                hx = x.half().contiguous(memory_format=torch.channels_last) if network.convolutional else x.half()
                with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
                    calls: dict[str, Callable[[], object]] = {"eager": lambda half=half, hx=hx: half(hx)}
                    path = torch_models.write(name, batch, Path(folder))
                    reference = torch_models.module(name)(torch_models.example(name, batch)).numpy()
                    for precision in ("fp16", "int8") if network.convolutional else ("fp16",):
                        options: dict[str, Any] = {"precision": precision, "self_test": False}
                        if precision == "fp16":
                            options["max_error"] = 1.0
                        else:
                            options["calibration"] = [{"x": x.cpu().numpy()}]
                        start = time.perf_counter()
                        engine = ingot.build(str(path), target=target.name, **options)
                        row[f"{precision}_build_s"] = round(time.perf_counter() - start, 1)
                        y = torch.empty(reference.shape, device="cuda")
                        calls[precision] = bound_call(engine, {"x": x, "y": y})
                        calls[precision]()
                        torch.cuda.synchronize()
                        row[f"{precision}_error"] = relative(y.cpu().numpy(), reference)
                    if compiled:
                        fast = torch.compile(half, mode="max-autotune")
                        calls["compile"] = lambda fast=fast, hx=hx: fast(hx)
                    row |= {n: round(us, 1) for n, us in interleaved(calls, 15, 20).items()}
                    best = min(row["eager"], row.get("compile", row["eager"]))
                    row["fp16_ratio"] = round(best / row["fp16"], 3)
            except Exception as error:
                row["failed"] = str(error).strip().splitlines()[0]
                traceback.print_exc()
            rows.append(row)
            say(row)
    ratios = [row["fp16_ratio"] for row in rows if "fp16_ratio" in row]
    if ratios:
        say("geometric mean of (best of PyTorch / FP16):", round(statistics.geometric_mean(ratios), 3))
    return rows


# -- matrix products --------------------------------------------------------------------------------------------------


def gemm_part(target: Target, only: str) -> Rows:
    """A row a product: TFLOP/s of the vendor's library and of each of our tactics that can do it."""
    import torch

    from ingot.builder.ir import Value
    from ingot.kernels import load
    from ingot.kernels.matmul.attrs import HalfMatMulAttrs
    from ingot.kernels.spec import DType, TensorType

    spec, rows = load()["matmul"], []
    rng = np.random.default_rng(0)
    for m, n, k in ((4096, 4096, 4096), (8192, 8192, 8192), (128, 1536, 384), (1024, 4096, 1024), (197, 768, 192)):
        a = torch.randn(m, k, device="cuda", dtype=torch.float16)
        w = (rng.standard_normal((k, n)) / k**0.5).astype(np.float16)
        b = torch.from_numpy(w).cuda()
        c = torch.empty(m, n, device="cuda", dtype=torch.float16)
        calls: dict[str, Callable[[], object]] = {"vendor": lambda a=a, b=b, c=c: torch.matmul(a, b, out=c)}
        wanted = (a @ b).float().cpu().numpy()
        values = [Value("a", TensorType(DType.F16, (m, k))), Value("w", TensorType(DType.F16, (k, n)), w), None, None]
        row: dict[str, Any] = {"product": f"{m}x{n}x{k}"}
        made = [(t, Node(spec, HalfMatMulAttrs(output=DType.F16), list(values), [])) for t in spec.tactics]
        abi = {info.name: (info.abi, info.params_size) for info in kernels().values()}
        for tactic, node in made:
            kind = spec.infer(node.attrs, [v and v.type for v in values])[0]
            node.outputs = [Value("c", kind, None, node)]
            if tactic.backend != "cuda" or not tactic.kernel or only not in tactic.key or not tactic.when(node):
                continue
            try:
                program = program_of(node, tactic, target)
                link([program], target, None, None)
                engine = ingot.load(write_engine([_variant(target, program)], {}, abi))
                out = torch.empty(m, n, device="cuda", dtype=torch.float16)
                calls[tactic.key] = bound_call(engine, {"a": a, "out0": out})
                calls[tactic.key]()
                torch.cuda.synchronize()
                error = relative(out.float().cpu().numpy(), wanted)
                if not error <= 5e-3:
                    row[f"{tactic.key} error"] = error
            except Exception as error:
                say(f"{tactic.key}: {str(error).strip().splitlines()[0]}")
        taken = interleaved(calls, 7, 10)
        row |= {name: round(2e-6 * m * n * k / us, 1) for name, us in taken.items()}
        ours = {name: tf for name, tf in row.items() if name in taken and name != "vendor"}
        if ours:
            best = max(ours, key=ours.get)
            row |= {"best": best, "share_of_vendor": round(ours[best] / row["vendor"], 3)}
        rows.append(row)
        say(row)
    return rows


PARTS: dict[str, Callable[[Target, str], Rows]] = {
    "samples": samples_part,
    "models": models_part,
    "runs": runs_part,
    "speed": speed_part,
    "compiled": partial(speed_part, compiled=True),
    "gemm": gemm_part,
}


def wrong(rows: Iterable[dict[str, Any]]) -> int:
    return sum(bool(r.get("failed") or r.get("wrong") or r.get("different") or r.get("ok") is False) for r in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--target", default="h200")
    parser.add_argument("--only", default="", help="a part of the name of an operator, model, network or tactic")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    target, found, failures = targets.get(args.target), {}, 0
    for part in args.parts:
        start = time.perf_counter()
        found[part] = PARTS[part](target, args.only)
        failures += wrong(found[part])
        say(f"{part}: {time.perf_counter() - start:.0f} s, {wrong(found[part])} wrong")
        if args.json:
            args.json.write_text(json.dumps(found, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
