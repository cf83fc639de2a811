"""Ranges without data: near those of data where the model says what data look like."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import ingot
from ingot.builder.calibrate import Synthetic, calibrate
from ingot.builder.calibrate.pictures import dead_leaves
from ingot.builder.calibrate.synthetic import stem, widen
from ingot.builder.calibrate.twins import normalisers, normalising_twin
from ingot.errors import BuildError


def initializer(name: str, array: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(array, np.float32), name)


def make(nodes: list[onnx.NodeProto], shape: list[int], out: list[int], *held: onnx.TensorProto) -> onnx.ModelProto:
    info = helper.make_tensor_value_info
    ends = [info("x", TensorProto.FLOAT, shape)], [info("y", TensorProto.FLOAT, out)]
    graph = helper.make_graph(nodes, "small", *ends, list(held))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def batch_norm_model() -> onnx.ModelProto:
    """Convolution and BatchNormalization whose statistics fit inputs of 100 times the usual size, ReLU, convolution."""
    random = np.random.default_rng(1)
    gamma, beta = [0.5, 1.0, 2.0, 4.0], [1.0, 0.0, -1.0, 3.0]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["b"]),
        helper.make_node("Relu", ["b"], ["r"]),
        helper.make_node("Conv", ["r", "v"], ["y"]),
    ]
    return make(
        nodes,
        [1, 3, 16, 16],
        [1, 2, 16, 16],
        initializer("w", random.normal(size=(4, 3, 1, 1))),
        initializer("v", random.normal(size=(2, 4, 1, 1))),
        initializer("gamma", gamma),
        initializer("beta", beta),
        initializer("mean", [0, 0, 0, 0]),
        initializer("var", [1e4] * 4),
    )


def test_batch_normalisation_gives_ranges() -> None:
    found = calibrate(batch_norm_model(), Synthetic())
    assert (found.source, found.samples, found.digest_data) == ("synthetic", 16, "")
    (relu,) = [r for r in found.ranges.values() if r.low == 0 and r.high != 255]  # not the input
    # The widest channel is 3 + 4 z. Plain inputs would come out of the BatchNormalization near 3.
    assert 3 + 4 * 1 < relu.amax < 3 + 4 * 6


def test_ranges_of_inputs_are_checked_and_used() -> None:
    model = batch_norm_model()
    for wrong, part in (
        ({"q": (0, 1)}, "no input is called 'q'; inputs: x"),
        ({"x": (1, 0)}, "range of input 'x' is 1 to 0"),
        ({"x": (0, float("nan"))}, "range of input 'x'"),
    ):
        with pytest.raises(BuildError, match=part):
            calibrate(model, Synthetic(wrong))
        with pytest.raises(BuildError, match=part):
            ingot.build(model, precision="int8", calibration_synthetic=True, input_ranges=wrong)
    options = {"precision": "int8", "calibration_synthetic": True, "self_test": False}
    one, other, again = (ingot.build(model, input_ranges=r, **options) for r in (None, {"x": (0, 3)}, {"x": (0, 3)}))
    assert other.digest == again.digest != one.digest


def test_whole_numbers_with_a_range_are_no_indices() -> None:
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=1), helper.make_node("Mul", ["f", "two"], ["y"])]
    model = make(nodes, [1, 3, 16, 16], [1, 3, 16, 16], initializer("two", 2))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    assert calibrate(model, Synthetic()).ranges["y"].high == 0
    assert 200 < calibrate(model, Synthetic({"x": (0, 255)})).ranges["y"].high <= 510


def test_the_twin_normalises_by_what_it_sees() -> None:
    proto = batch_norm_model()
    twin = normalising_twin(proto, {"b": (1, 4, 16, 16)})
    onnx.checker.check_model(twin, full_check=True)
    assert all(node.op_type != "BatchNormalization" for node in twin.graph.node)
    assert any(node.op_type == "BatchNormalization" for node in proto.graph.node)
    assert normalising_twin(proto, {"b": (1, 4, 2, 2)}) is None  # four elements have no statistics
    ref = pytest.importorskip("onnx.reference").ReferenceEvaluator(twin)
    twin.graph.output.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, None))
    ref = type(ref)(twin)
    (b,) = ref.run(["b"], {"x": np.random.default_rng(2).normal(size=(1, 3, 16, 16)).astype(np.float32)})
    np.testing.assert_allclose(b.mean((0, 2, 3)), [1, 0, -1, 3], atol=1e-3)
    np.testing.assert_allclose(b.std((0, 2, 3)), [0.5, 1, 2, 4], rtol=1e-3)


def test_inputs_that_the_model_normalises() -> None:
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["a"]),
        helper.make_node("Mul", ["a", "factor"], ["b"]),
        helper.make_node("Gemm", ["b", "w"], ["y"]),
    ]
    held = initializer("mean", [10, 1000]), initializer("factor", [2, 0.01]), initializer("w", np.ones((2, 3)))
    model = make(nodes, [1, 2], [1, 3], *held)
    mean, deviation = normalisers(model)["x"]
    np.testing.assert_allclose([mean, deviation], [[10, 1000], [0.5, 100]])
    assert 1000 < calibrate(model, Synthetic()).ranges["x"].amax < 1400


def test_given_ranges() -> None:
    model = batch_norm_model()
    found = calibrate(model, Synthetic({"x": (0, 8)}), method="minmax")
    assert 6 < found.ranges["x"].amax <= 8 and found.ranges["x"].low >= 0
    with pytest.raises(BuildError, match="no input is called 'z'; inputs: x"):
        calibrate(model, Synthetic({"z": (0, 8)}))


def test_the_same_every_time() -> None:
    assert calibrate(batch_norm_model(), Synthetic()).text() == calibrate(batch_norm_model(), Synthetic()).text()


def test_pictures_are_in_range_and_have_edges() -> None:
    picture = dead_leaves(np.random.default_rng(1), 32, 48, 3)
    assert picture.shape == (32, 48, 3) and picture.dtype == np.float32
    assert 0 <= picture.min() < 0.4 and 0.6 < picture.max() <= 1
    steps = np.abs(np.diff(picture[..., 0], axis=1))
    assert np.median(steps) < 0.1 < steps.max()  # flat areas, and edges


def test_small_parts() -> None:
    assert widen(0.0) == 0 and widen(1.0) == 1 and widen(1.01) == 1.0625 and widen(3.99) == 4
    assert stem("r1.elementwise") == "r1" and stem("a.b") == "a.b"
