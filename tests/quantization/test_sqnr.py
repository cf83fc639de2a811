"""What each layer's own error is measured to be, against the same computed in NumPy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

import ingot
from ingot.builder import onnx_model
from ingot.builder.calibrate import calibrate_graph, float_graph
from ingot.builder.precision.judge import Distance
from ingot.builder.precision.sqnr import node_sqnr
from ingot.builder.quantization.request import Request, Scales

sys.path.insert(0, str(Path(__file__).resolve().parent))
import nets


def test_a_product_by_hand() -> None:
    """x in steps of 1/127, weights in steps of their largest over 127: the error is that of the two roundings."""
    random = np.random.default_rng(1)
    w = random.integers(-127, 128, (16, 4)).astype(np.float32)
    w[0] = 127  # so weights are whole steps, and only x is rounded
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")]
    ends = [helper.make_tensor_value_info(n, 1, s) for n, s in (("x", [8, 16]), ("y", [8, 4]))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(w, "w")])
    source = onnx_model.read(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))
    internal = float_graph(source)
    x = random.uniform(-1, 1, (8, 16)).astype(np.float32)
    found = node_sqnr(internal, Request(ranges=Scales({"x": 1.0})), [{"x": x}])
    step = np.float64(np.float32(1 / 127))
    wanted, got = x.astype(np.float64) @ w, np.rint(x / step) * step @ w
    expected = 10 * np.log10((wanted**2).sum() / ((got - wanted) ** 2).sum())
    assert list(found.values()) == pytest.approx([expected], abs=0.01)


def test_errors_of_others_do_not_count() -> None:
    """The ratio of a layer is the same whether the layers before it are in int8 or not."""
    model, samples = nets.mixed(0)
    source = onnx_model.read(model)
    graph = float_graph(source)
    ranges = calibrate_graph(graph, samples, source, method="minmax")
    last = [node for node in graph.nodes if node.op.name == "conv"][-1]
    others = [node.name for node in graph.nodes if node.op.name == "conv" and node is not last]
    alone = Request(ranges=ranges, precision="best", kept_out=dict.fromkeys(others, "-"))
    every = node_sqnr(graph, Request(ranges=ranges), samples)
    assert every[last.output.name] == pytest.approx(node_sqnr(graph, alone, samples)[last.output.name], abs=1e-9)
    assert len(every) > len(others)


def test_generated_inputs_say_what_data_say() -> None:
    model, samples = nets.mixed(0)
    plain = ingot.build(model, precision="int8", calibration=samples).inspect()["metadata"]
    best = ingot.build(model, precision="best", calibration=samples, max_error=1.0).inspect()["metadata"]
    assert (plain["measured"]["on"], best["measured"]["on"]) == ("generated inputs", "calibration data")
    ratios = [
        {row["layer"]: row["sqnr_db"] for row in m["ledger"] if row["kernel"].startswith("conv")} for m in (plain, best)
    ]
    assert ratios[0].keys() == ratios[1].keys()
    assert all(abs(ratios[0][layer] - ratios[1][layer]) < 8 for layer in ratios[0])


class TestDistance:
    def test_floats(self) -> None:
        distance = Distance()
        distance.add(np.array([1.0, np.nan, 3.0]), np.array([1.0, np.nan, 4.0]))
        distance.add(np.zeros(1), np.zeros(1))
        assert distance.relative == pytest.approx(1 / np.sqrt(17)) and distance.decibels == pytest.approx(
            12.304, abs=1e-3
        )

    def test_not_a_number_where_there_was_one(self) -> None:
        distance = Distance()
        distance.add(np.array([np.nan]), np.array([1.0]))
        assert distance.relative == np.inf and distance.decibels == -200

    def test_whole_numbers_count(self) -> None:
        distance = Distance()
        distance.add(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 9]))
        assert distance.relative == 0.25

    def test_nothing_lost(self) -> None:
        distance = Distance()
        distance.add(np.ones(3), np.ones(3))
        assert (distance.relative, distance.decibels) == (0.0, 200.0)
