"""What is asked for, what is had, and what is said about it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parent))
import nets


def ledger(engine) -> list[dict]:
    return engine.inspect()["metadata"]["ledger"]


def test_no_ranges() -> None:
    model, _ = nets.mixed(0)
    with pytest.raises(ingot.BuildError, match="calibration"):
        ingot.build(model, precision="int8")


def test_layer_precision() -> None:
    model, samples = nets.mixed(0)
    engine = ingot.build(
        model, precision="int8", calibration=samples, layer_precision={"n_conv*": "fp32"}, allow_fallback=True
    )
    convs = [row for row in ledger(engine) if "n_conv" in row["layer"]]
    assert convs
    assert all(row["asked"] == row["got"] == "fp32" for row in convs)


@pytest.mark.parametrize("precision", ["int8", "best", "bf16"])
def test_layer_precision_of_no_layer_is_a_warning(precision: str) -> None:
    model, samples = nets.mixed(0)
    layers = {"n_conv*": "fp32", "n_cnov*": "fp32"}
    engine = ingot.build(
        model, precision=precision, calibration=samples, layer_precision=layers, allow_fallback=True, self_test=False
    )
    warnings = [line for line in engine.inspect()["metadata"]["passes"] if "no layer is called" in line]
    assert warnings == ["precision: warning: no layer is called n_cnov*"]


def test_layer_precision_is_a_precision() -> None:
    model, samples = nets.mixed(0)
    with pytest.raises(ingot.BuildError, match="int4"):
        ingot.build(model, precision="int8", calibration=samples, layer_precision={"*": "int4"})


def test_fallback_is_said() -> None:
    """Weights of infinities cannot be quantised: an error that names the layer, unless it is allowed."""
    net = nets.Net((1, 3, 8, 8), 0)
    y = net.op("Relu", net.conv("x", 3, 8))
    weights = next(t for t in net.constants if len(t.dims) == 4)
    array = numpy_helper.to_array(weights).copy()
    array[0, 0, 0, 0] = np.inf
    weights.CopyFrom(numpy_helper.from_array(array, weights.name))
    model = net.model(net.conv(y, 8, 4))
    ranges = {"%conv.transpose": 1.0, "x": 1.0}
    with pytest.raises(ingot.BuildError, match=r"n_conv.*"):
        ingot.build(model, precision="int8", calibration=ranges, self_test=False)
    engine = ingot.build(model, precision="int8", calibration=ranges, allow_fallback=True, self_test=False)
    assert any(row["asked"] == "int8" and row["got"] == "fp32" and row["why"] for row in ledger(engine))


def test_ledger_has_scales() -> None:
    model, samples = nets.mixed(0)
    rows = ledger(ingot.build(model, precision="int8", calibration=samples, allow_fallback=True))
    assert all({"layer", "kernel", "asked", "got", "exact_across_targets"} <= set(row) for row in rows)
    assert all("why" in row for row in rows if row["asked"] != row["got"])
    assert any(row.get("scale", 0) > 0 for row in rows if row["kernel"].startswith("conv"))
