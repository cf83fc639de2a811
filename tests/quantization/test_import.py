"""Models that arrive quantised: each operator within one quantum of onnxruntime, almost everywhere equal."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models"))
from zoo import folder

ROOT = folder()
RNG = np.random.default_rng(3)
#: dtype -> zero points of x and y
STORED = {np.int8: (3, -11), np.uint8: (120, 17)}


class Model:
    """A model of one operator with quantised operands, x float at both ends."""

    def __init__(self, dtype) -> None:
        self.dtype = dtype
        self.nodes, self.constants = [], []

    def constant(self, array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, op_type, *inputs, domain="", **attributes) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def quant(self, scale, zero) -> tuple[str, str]:
        return self.constant(np.float32(scale)), self.constant(np.array(zero, self.dtype))

    def stored(self, x, scale, zero) -> str:
        return self.op("QuantizeLinear", x, *self.quant(scale, zero))

    def real(self, q, scale, zero) -> str:
        return self.op("DequantizeLinear", q, *self.quant(scale, zero))

    def weights(self, shape, axis: int) -> str:
        w = RNG.integers(-127, 128, shape).astype(np.int8)
        scales = self.constant(RNG.uniform(0.001, 0.01, shape[axis]).astype(np.float32))
        return self.op("DequantizeLinear", self.constant(w), scales, axis=axis)

    def finish(self, y, shape) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "one",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, None)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def conv(m: Model, x: str) -> str:
    return m.op("Relu", m.op("Conv", x, m.weights((9, 8, 3, 3), 0), pads=[1, 1, 1, 1]))


def depthwise(m: Model, x: str) -> str:
    return m.op("Conv", x, m.weights((8, 1, 3, 3), 0), group=8, strides=[2, 2])


def gemm(m: Model, x: str) -> str:
    flat = m.op("Flatten", x)
    return m.op("Gemm", flat, m.weights((11, 8 * 49), 0), m.constant(np.ones(11, np.float32)), transB=1)


def add(m: Model, x: str) -> str:
    return m.op("Add", x, x)


def pools(m: Model, x: str) -> str:
    return m.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])


def sigmoid(m: Model, x: str) -> str:
    return m.op("Sigmoid", x)


def mean(m: Model, x: str) -> str:
    return m.op("GlobalAveragePool", x)


@pytest.mark.parametrize("dtype", list(STORED), ids=lambda t: t.__name__)
@pytest.mark.parametrize("operator", [conv, depthwise, gemm, add, pools, sigmoid, mean], ids=lambda f: f.__name__)
def test_operator(operator, dtype) -> None:
    zero, y_zero = STORED[dtype]
    m = Model(dtype)
    x = m.real(m.stored("x", 0.05, zero), 0.05, zero)
    y_scale = {sigmoid: 1 / 255, mean: 0.01}.get(operator, 0.1)
    y = m.real(m.stored(operator(m, x), y_scale, y_zero), y_scale, y_zero)
    model = m.finish(y, (1, 8, 7, 7))
    engine = ingot.build(model, precision="int8")
    rows = [r for r in engine.inspect()["metadata"]["ledger"] if r["got"] != "int8"]
    assert not rows
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    equal = total = 0
    for _ in range(10):
        sample = (RNG.standard_normal((1, 8, 7, 7)) * 3).astype(np.float32)
        (wanted,) = session.run(None, {"x": sample})
        with engine.context() as context:
            (got,) = context.run({"x": sample}).values()
            steps = np.rint((got - wanted) / np.float32(y_scale))
        assert np.abs(steps).max() <= 1
        equal, total = equal + int((steps == 0).sum()), total + steps.size
    assert equal >= 0.999 * total - 1


@pytest.mark.parametrize("dtype", list(STORED), ids=lambda t: t.__name__)
def test_qlinear(dtype) -> None:
    """QLinearConv, QLinearAdd and QLinearConcat."""
    m = Model(dtype)
    zero, y_zero = STORED[dtype]
    q = m.quant(0.05, zero)
    x = m.op("QuantizeLinear", "x", *q)
    w = m.constant(RNG.integers(-127, 128, (8, 8, 1, 1)).astype(np.int8))
    bias = m.constant(RNG.integers(-9000, 9000, 8).astype(np.int32))
    scales = m.constant(RNG.uniform(0.001, 0.01, 8).astype(np.float32))
    zeros = m.constant(np.zeros(8, np.int8))
    r = m.quant(0.1, y_zero)
    y = m.op("QLinearConv", x, *q, w, scales, zeros, *r, bias)
    z = m.op("QLinearAdd", y, *r, x, *q, *r, domain="com.microsoft")
    z = m.op("QLinearConcat", *r, z, *r, x, *q, domain="com.microsoft", axis=1)
    model = m.finish(m.op("DequantizeLinear", z, *r), (1, 8, 7, 7))
    engine = ingot.build(model, precision="int8")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    sample = RNG.standard_normal((1, 8, 7, 7)).astype(np.float32)
    (wanted,) = session.run(None, {"x": sample})
    with engine.context() as context:
        (got,) = context.run({"x": sample}).values()
        assert np.abs(np.rint((got - wanted) / np.float32(0.1))).max() <= 1


def test_layers_left_in_float() -> None:
    """A model that arrives quantised may leave layers in float: no error, and the ledger says so."""
    m = Model(np.int8)
    x = m.real(m.stored("x", 0.05, 0), 0.05, 0)
    y = m.real(m.stored(conv(m, x), 0.1, 0), 0.1, 0)
    z = m.op("Relu", m.op("Sigmoid", y))
    w = m.constant(RNG.standard_normal((4, 9, 1, 1)).astype(np.float32))
    engine = ingot.build(m.finish(m.op("Conv", z, w), (1, 8, 7, 7)), precision="int8")
    rows = [r for r in engine.inspect()["metadata"]["ledger"] if r["got"] != r["asked"]]
    assert any("leaves it in float" in row["why"] for row in rows)


@pytest.mark.skipif(ROOT is None, reason="../shared is not here: its quantised models were not compared")
@pytest.mark.parametrize("name", ["resnet8_mlperftiny_qdq_int8", "kws_dscnn_qdq_int8", "vww_mobilenetv1_qdq_int8"])
def test_whole_model(name: str) -> None:
    path = ROOT / "models" / name / "model.onnx"
    arrays = np.load(path.parent / "sample.npz")
    graph = onnx.load(path).graph
    held = {t.name for t in graph.initializer}
    (x,) = [i.name for i in graph.input if i.name not in held]
    engine = ingot.build(path, precision="int8", profiles=[{x: arrays["in_0"].shape}])
    assert all(row["exact_across_targets"] for row in engine.inspect()["metadata"]["ledger"])
    with engine.context() as context:
        (got,) = context.run({x: arrays["in_0"]}).values()
        assert np.linalg.norm(got - arrays["out_0"]) <= 2e-2 * np.linalg.norm(arrays["out_0"])
