"""An engine run step by step computes what a whole run computes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot.trace import trace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "quantization"))
from nets import mixed


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("isa", ["portable", None])
def test_bits_of_a_run(precision: str, isa: str | None) -> None:
    model, samples = mixed(3)
    data = samples if precision == "int8" else None
    engine = ingot.load(bytes(ingot.build(model, precision=precision, calibration=data).bytes), isa=isa)
    program = engine.inspect()["programs"][0]
    (output,) = engine.outputs
    (expected,) = engine.context(threads=2).run(samples[0]).values()
    steps = list(zip(program["steps"], map(_copies, trace(engine, samples[0])), strict=True))
    for step, results in steps:
        assert [list(array.shape) for array in results] == [operand["shape"] for operand in step["outputs"]]
    (last,) = steps[-1][1]
    assert steps[-1][0]["outputs"][0]["storage"] == "output"
    np.testing.assert_array_equal(last.view(np.uint32), expected.reshape(last.shape).view(np.uint32))
    assert expected.shape == output.shape


def _copies(results: list[np.ndarray]) -> list[np.ndarray]:
    return [np.array(array) for array in results]


def test_rows_inside_a_wider_tensor() -> None:
    """Operands of a concat are computed where they end up: their rows have gaps."""
    model, samples = mixed(3)
    engine = ingot.build(model)
    joined = next(t for t in engine.inspect()["programs"][0]["tensors"] if t["pitch"] > (t["shape"] or [1])[-1])
    for step, results in zip(engine.inspect()["programs"][0]["steps"], trace(engine, samples[0])):
        for operand, array in zip(step["outputs"], results):
            if operand["name"] == joined["name"]:
                assert array.strides[-2] == joined["pitch"] * array.itemsize > array.shape[-1] * array.itemsize
                return
    raise AssertionError("no step writes it")


def test_inputs_are_checked(tmp_path: Path) -> None:
    model, samples = mixed(3)
    engine = ingot.build(model)
    with pytest.raises(ingot.ArgumentError, match="missing: input x"):
        next(trace(engine, {}))
    with pytest.raises(ingot.ArgumentError, match="wanted float32"):
        next(trace(engine, {"x": samples[0]["x"][:, :1]}))
