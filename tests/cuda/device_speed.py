"""The parts ``speed``, ``compiled`` and ``gemm`` of ``on_device.py``."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from device_common import Rows, alone, attempt, bound_call, in_processes, interleaved, program_of, relative, say

import ingot
from ingot import builder
from ingot._kernel import kernels
from ingot.builder import _variant
from ingot.builder.cuda.link import link
from ingot.builder.ir import Node
from ingot.builder.writer import write_engine
from ingot.targets import Target


def replayed(module: Any, x: Any) -> Callable[[], object]:
    """The module on that input as a CUDA graph of PyTorch's, so that what Python takes does not count."""
    import torch

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            module(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        module(x)
    return graph.replay


def speed_part(target: Target, only: str, jobs: int = 1, compiled: bool = False) -> Rows:
    """A row a network and batch: microseconds of PyTorch and of ours, and how far outputs are apart.

    ``eager`` is what a call takes, ``eager_graph`` the same kernels as a CUDA graph, ``compile_graph`` what
    ``torch.compile`` makes of the module in its mode max-autotune, as a CUDA graph as well. With more ``jobs`` than one
    engines are built at once; whatever is measured, PyTorch's choice of kernels included, has its device for itself.
    Rows take the devices that there are in turn. PyTorch compiles its candidates in minutes for a network of
    convolutions: all networks do so at once in a first pass, whose choices, made side by side, are thrown away.
    """
    import torch
    import torch_models

    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder:
        locks = [Path(folder, str(i)) for i in range(torch.cuda.device_count())]
        cases = [(name, batch) for name in torch_models.NETWORKS if only in name for batch in (1, 8)]
        if compiled:
            warm = [(compile_candidates, *case, i % len(locks), folder) for i, case in enumerate(cases)]
            for (name, batch), (seconds, why) in zip(cases, in_processes(attempt, warm, jobs)):
                say(f"{name}, batch {batch}: candidates compiled, {why or f'{seconds:.0f} s'}")
        given = [
            (speed_row, *case, target.name, compiled, i % len(locks), locks[i % len(locks)], folder)
            for i, case in enumerate(cases)
        ]
        for (name, batch), (row, why) in zip(cases, in_processes(attempt, given, jobs)):
            rows.append(row or {"network": name, "batch": batch, "failed": why})
            say(rows[-1])
    for what in ("eager", "eager_graph", "compile_graph", "int8"):
        ratios = [row[f"{what}_ratio"] for row in rows if f"{what}_ratio" in row]
        if ratios:
            of = "FP16 / INT8" if what == "int8" else f"{what} / FP16"
            say(f"geometric mean of {of}: {statistics.geometric_mean(ratios):.3f}")
    return rows


def module_on_device(name: str, batch: int) -> tuple[Any, Any]:
    """The network in half as PyTorch is fastest with it, and its input."""
    import torch
    import torch_models

    half, x = torch_models.module(name).cuda().half(), torch_models.example(name, batch).cuda().half()
    if torch_models.NETWORKS[name].convolutional:
        half, x = half.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    return half, x


def compiled_module(half: Any, choices: Path, candidates: Path) -> Any:
    """``torch.compile`` in its mode max-autotune, with the graph left to us: its own checks inputs in Python before
    each replay. What it chooses is kept in one folder, the candidates that Triton compiles in another."""
    import torch

    os.environ |= {"TORCHINDUCTOR_CACHE_DIR": str(choices), "TRITON_CACHE_DIR": str(candidates)}
    return torch.compile(half, mode="max-autotune-no-cudagraphs")


def compile_candidates(name: str, batch: int, device: int, folder: str) -> float:
    """Seconds to compile what PyTorch's compiler may choose from."""
    import torch

    start = time.perf_counter()
    with torch.no_grad(), torch.cuda.device(device):
        half, x = module_on_device(name, batch)
        compiled_module(half, Path(folder, f"{name}_{batch}_first"), Path(folder, "candidates"))(x)
    return time.perf_counter() - start


def speed_row(
    name: str, batch: int, target: str, compiled: bool, device: int, lock: Path, cache: str
) -> dict[str, Any]:
    """One of ``speed_part``; ``cache`` is the folder for what PyTorch compiles."""
    import torch
    import torch_models

    network = torch_models.NETWORKS[name]
    row: dict[str, Any] = {"network": name, "batch": batch}
    example, engines = torch_models.example(name, batch), {}
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        path = torch_models.write(name, batch, Path(folder))
        reference = torch_models.module(name)(example).numpy()
        for precision in ("fp16", "int8") if network.convolutional else ("fp16",):
            options: dict[str, Any] = {"precision": precision, "self_test": False}
            if precision == "fp16":
                options["max_error"] = 1.0
            else:
                options["calibration"] = [{"x": example.numpy()}]
            start = time.perf_counter()
            engines[precision] = builder.build(str(path), target=target, **options)
            row[f"{precision}_build_s"] = round(time.perf_counter() - start, 1)
    with torch.no_grad(), torch.cuda.device(device), alone(lock):
        x = example.cuda()
        half, hx = module_on_device(name, batch)
        calls: dict[str, Callable[[], object]] = {"eager": lambda: half(hx), "eager_graph": replayed(half, hx)}
        if compiled:
            start, places = time.perf_counter(), (Path(cache, f"{name}_{batch}"), Path(cache, "candidates"))
            calls["compile_graph"] = replayed(compiled_module(half, *places), hx)
            row["compile_s"] = round(time.perf_counter() - start, 1)
        for precision, data in engines.items():
            y = torch.empty(reference.shape, device="cuda")
            calls[precision] = bound_call(ingot.load(data, device=device), {"x": x, "y": y})
            calls[precision]()
            torch.cuda.synchronize()
            row[f"{precision}_error"] = relative(y.cpu().numpy(), reference)
        row |= {n: round(us, 1) for n, us in interleaved(calls, 15, 20).items()}
    for peer in ("eager", "eager_graph", "compile_graph"):
        if peer in row:
            row[f"{peer}_ratio"] = round(row[peer] / row["fp16"], 3)
    if "int8" in row:
        row["int8_ratio"] = round(row["fp16"] / row["int8"], 3)
    return row


def gemm_part(target: Target, only: str, jobs: int = 1) -> Rows:
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
            if (
                not tactic.is_for("cuda", target.arch)
                or not tactic.kernel
                or only not in tactic.key
                or not tactic.when(node)
            ):
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
