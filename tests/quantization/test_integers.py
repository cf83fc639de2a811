"""INT8 engines do exactly what the integer graph says, on every instruction set and for any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot import builder
from ingot.builder.ir import Graph
from ingot.kernels.spec import DType

sys.path.insert(0, str(Path(__file__).resolve().parent))
import integers
import nets

ISAS = ("portable", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16", "neon", "neondot", "neonbf16")


def kinds(graph: Graph) -> list[str]:
    """Operators that compute in int8."""
    return [n.op.name for n in graph.nodes if any(v is not None and v.type.dtype is DType.I8 for v in n.inputs)]


@pytest.mark.parametrize("seed", range(6))
def test_engine_is_the_integer_graph(seed: int) -> None:
    model, samples = nets.mixed(seed)
    graph, request = nets.integer_graph(model, samples, allow_fallback=True)
    assert {"conv", "lookup", "elementwise", "concat"} <= set(kinds(graph))
    engine = ingot.build(model, precision="int8", calibration=request.ranges, allow_fallback=True)
    for sample in [*samples, {"x": samples[0]["x"] * 1e6}, {"x": np.full_like(samples[0]["x"], np.nan)}]:
        wanted = integers.run(graph, sample)[graph.outputs[0].name]
        (got,) = nets.outputs(engine, sample)
        if graph.outputs[0].producer.inputs[0].type.dtype is DType.I8:
            assert got.tobytes() == wanted.tobytes()
        else:
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_close_to_float(seed: int) -> None:
    model, samples = nets.mixed(seed)
    whole = ingot.build(model)
    engine = ingot.build(model, precision="int8", calibration=samples, allow_fallback=True)
    for sample in samples:
        (wanted,), (got,) = nets.outputs(whole, sample), nets.outputs(engine, sample)
        assert np.linalg.norm(got - wanted) < 0.1 * np.linalg.norm(wanted)


RUN = """
import sys, hashlib, numpy as np, ingot
engine = ingot.load(sys.argv[1])
x = np.load(sys.argv[2])
digest = hashlib.sha256()
for threads in (1, 2):
    with engine.context(threads=threads) as context:
        for sample in x:
            for array in context.run({engine.inputs[0].name: sample}).values():
                digest.update(np.ascontiguousarray(array).tobytes())
    print(digest.hexdigest())
    digest = hashlib.sha256()
"""


def test_same_bits_everywhere(tmp_path: Path) -> None:
    model, samples = nets.mixed(1)
    engine = ingot.build(model, precision="int8", calibration=samples, allow_fallback=True)
    assert all(row["exact_across_targets"] for row in engine.inspect()["metadata"]["ledger"])
    engine.save(tmp_path / "engine.ingot")
    np.save(tmp_path / "x.npy", np.stack([s["x"] for s in samples]))
    found = {}
    for isa in ISAS:
        command = [sys.executable, "-c", RUN, str(tmp_path / "engine.ingot"), str(tmp_path / "x.npy")]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"INGOT_ISA": isa})
        if done.returncode == 0:
            found[isa] = done.stdout.split()
    assert "portable" in found
    assert len({digest for pair in found.values() for digest in pair}) == 1, found


def test_same_bytes_twice() -> None:
    model, samples = nets.mixed(2)
    first, second = (
        builder.build(model, precision="int8", calibration=data, allow_fallback=True)
        for data in (samples, samples[::-1])
    )
    assert first == second
