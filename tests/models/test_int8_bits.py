"""One INT8 engine gives the same bits on every instruction set, on one thread and on two: every step that says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot.trace import trace

sys.path.insert(0, str(Path(__file__).resolve().parent))
from int8_engines import build
from zoo import ZooModel, models

ISAS = ("portable", "avx2", "avx512", "avx512vnni", "neon", "neondot")


def exact_results(engine: ingot.Engine, inputs: dict[str, np.ndarray]) -> Iterator[bytes]:
    """The results of the steps that the ledger calls exact across targets."""
    ledger = engine.inspect()["metadata"]["ledger"]
    for entry, arrays in zip(ledger, trace(engine, inputs), strict=True):
        if entry["exact_across_targets"]:
            yield from (array.tobytes() for array in arrays if array is not None)


def isas() -> list[str]:
    """Those of this processor."""
    found = []
    engine = ingot.build(Path(__file__).resolve().parents[2] / "examples/control/policy.onnx").bytes
    for isa in ISAS:
        try:
            ingot.load(engine, isa=isa)
        except ingot.IngotError:
            continue
        found.append(isa)
    return found


@pytest.fixture(scope="module")
def available() -> list[str]:
    found = isas()
    assert len(found) >= 2, "no instruction set but the portable one: nothing to compare"
    return found


@pytest.mark.parametrize("model", models(), ids=lambda m: m.name)
def test_same_bits(model: ZooModel, available: list[str], tmp_path: Path) -> None:
    inputs, _ = model.sample()
    path = tmp_path / "engine.ingot"
    build(model).save(path)
    wanted = list(exact_results(ingot.load(path, isa="portable"), inputs))
    assert wanted, "no step is exact"
    for isa in available:
        engine = ingot.load(path, isa=isa)
        assert list(exact_results(engine, inputs)) == wanted, isa
        results = []
        for threads in (1, 2):
            with engine.context(threads=threads) as context:
                results.append([np.array(array) for array in context.run(inputs).values()])
        assert all(one.tobytes() == other.tobytes() for one, other in zip(*results)), f"{isa}: two threads"
