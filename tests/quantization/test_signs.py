"""What is said never to be negative never is, and what may be is not said to be."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from ingot.builder import onnx_model
from ingot.builder.calibrate import float_graph, observable, observe
from ingot.builder.quantization.signs import nonnegative


def graph_of(*nodes: tuple, opset: int = 18):
    """A graph of ``(op_type, inputs, attributes)`` on ``x`` [1, 2, 4, 4]; constants are arrays among the inputs."""
    made, held = [], []
    name = "x"
    for index, (op_type, inputs, attributes) in enumerate(nodes):
        names = []
        for operand in inputs:
            if isinstance(operand, np.ndarray):
                held.append(numpy_helper.from_array(operand, f"c{len(held)}"))
                names.append(held[-1].name)
            else:
                names.append(operand)
        name = f"v{index}"
        made.append(helper.make_node(op_type, names, [name], **attributes))
    info = helper.make_tensor_value_info
    ends = [info("x", TensorProto.FLOAT, [1, 2, 4, 4])], [info(name, TensorProto.FLOAT, None)]
    graph = helper.make_graph(made, "g", *ends, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return float_graph(onnx_model.read(model))


WEIGHTS = np.random.default_rng(1).normal(size=(3, 2, 1, 1)).astype(np.float32)
TWICE = np.array([1, 1, 2, 2], np.float32)
EMPTY = np.zeros(0, np.float32)
RELU, ABS = ("Relu", ["x"], {}), ("Abs", ["x"], {})

POSITIVE = {
    "relu": [RELU],
    "conv": [("Conv", ["x", WEIGHTS], {}), ("Relu", ["v0"], {})],
    "softmax": [("Softmax", ["x"], {"axis": 1})],
    "sum": [RELU, ("Sigmoid", ["x"], {}), ("Add", ["v0", "v1"], {})],
    "pool": [RELU, ("AveragePool", ["v0"], {"kernel_shape": [2, 2]})],
    "linear": [RELU, ("Resize", ["v0", EMPTY, TWICE], {"mode": "linear"})],
}
ANY = {
    "conv": [("Conv", ["x", WEIGHTS], {})],
    "clip": [("Clip", ["x", np.array(-1, np.float32), np.array(1, np.float32)], {})],
    "log": [("LogSoftmax", ["x"], {"axis": 1})],
    "difference": [RELU, ABS, ("Sub", ["v0", "v1"], {})],
    "cubic": [RELU, ("Resize", ["v0", EMPTY, TWICE], {"mode": "cubic"})],
    "pad": [RELU, ("Pad", ["v0", np.array([0, 0, 1, 1] * 2, np.int64), np.array(-1, np.float32)], {})],
    "scaled": [RELU, ("Mul", ["v0", np.array(-2, np.float32)], {})],
}


@pytest.mark.parametrize("name", POSITIVE)
def test_never_negative(name: str) -> None:
    graph = graph_of(*POSITIVE[name])
    assert graph.outputs[0] in nonnegative(graph)


@pytest.mark.parametrize("name", ANY)
def test_may_be_negative(name: str) -> None:
    graph = graph_of(*ANY[name])
    assert graph.outputs[0] not in nonnegative(graph)


@pytest.mark.parametrize("nodes", [*POSITIVE.values(), *ANY.values()], ids=[*POSITIVE, *(f"any-{n}" for n in ANY)])
def test_it_is_true(nodes: list[tuple]) -> None:
    graph = graph_of(*nodes)
    found = {value.name for value in nonnegative(graph)}
    observation = observe(graph, observable(graph))
    for seed in range(3):
        x = np.random.default_rng(seed).normal(scale=10, size=(1, 2, 4, 4)).astype(np.float32)
        for name, array in observation.run({"x": x}).items():
            assert name not in found or array.min() >= 0
